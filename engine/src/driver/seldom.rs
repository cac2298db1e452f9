//! Parts that most drivers do without: a city's drivers are nearly all at rest, and what each of them
//! takes up is what a process can hold.

use std::ops::Deref;
use std::sync::Arc;

/// A part of a machine that is one pointer wide while it is blank.
#[derive(Debug, Clone)]
pub(super) struct Seldom<T>(Option<Box<T>>);

/// A part that may have nothing to tell.
pub trait Blank: Default + 'static {
    /// Such a part, for those who only read it.
    fn blank() -> &'static Self;

    /// Whether it is one.
    fn is_blank(&self) -> bool;
}

impl<T> Seldom<T> {
    /// Nothing yet.
    pub(super) const BLANK: Self = Self(None);
}

impl<T: Blank> Seldom<T> {
    /// The part to take things out of, unless there is nothing in it.
    pub(super) fn there(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The part to put things in.
    pub(super) fn made(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// Gives its memory back if it is blank again.
    pub(super) fn trim(&mut self) {
        self.0.take_if(|part| part.is_blank());
    }
}

impl<T: Blank> From<T> for Seldom<T> {
    fn from(part: T) -> Self {
        Self((!part.is_blank()).then(|| Box::new(part)))
    }
}

/// Something that drivers' machines and what they tell share, one pointer wide while it is blank.
#[derive(Debug, Clone)]
pub struct SharedSeldom<T>(Option<Arc<T>>);

impl<T> SharedSeldom<T> {
    /// Nothing to tell.
    pub(super) const BLANK: Self = Self(None);
}

impl<T: Blank> From<T> for SharedSeldom<T> {
    fn from(part: T) -> Self {
        Self((!part.is_blank()).then(|| Arc::new(part)))
    }
}

/// What holds of both: they are read, compare, and are stored, as the part itself.
macro_rules! as_the_part {
    ($name:ident) => {
        impl<T: Blank> Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                match &self.0 {
                    Some(part) => part,
                    None => T::blank(),
                }
            }
        }

        impl<T: Blank + PartialEq> PartialEq for $name<T> {
            fn eq(&self, other: &Self) -> bool {
                std::ptr::eq(&raw const **self, &raw const **other) || **self == **other
            }
        }

        impl<T: Blank + Eq> Eq for $name<T> {}

        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self::BLANK
            }
        }

        #[cfg(feature = "serde")]
        impl<T: Blank + serde::Serialize> serde::Serialize for $name<T> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                T::serialize(self, serializer)
            }
        }

        #[cfg(feature = "serde")]
        impl<'de, T: Blank + serde::Deserialize<'de>> serde::Deserialize<'de> for $name<T> {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                T::deserialize(from).map(Self::from)
            }
        }
    };
}

as_the_part!(Seldom);
as_the_part!(SharedSeldom);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    impl Blank for VecDeque<u8> {
        fn blank() -> &'static Self {
            static BLANK: VecDeque<u8> = VecDeque::new();
            &BLANK
        }

        fn is_blank(&self) -> bool {
            self.is_empty()
        }
    }

    #[test]
    fn a_part_is_in_memory_from_its_first_use_until_it_is_blank_again() {
        let mut part = Seldom::<VecDeque<u8>>::BLANK;
        assert!(part.is_empty() && part.there().is_none());
        part.made().push_back(7);
        part.trim();
        assert_eq!((part.len(), part.there().is_some()), (1, true));
        part.made().clear();
        part.trim();
        assert!(part.there().is_none());
    }
}
