//! One declaration per key makes the typed policy, the patch that may set it, its default and its
//! range: none of them can be forgotten.

/// What is to be known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDoc {
    /// The key as written in the configuration.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Which values are allowed.
    pub allowed: &'static str,
}

/// A policy value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}, allowed is {allowed}")]
pub struct PolicyError {
    /// The key as written in the configuration.
    pub key: &'static str,
    /// The value found.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Declares the keys: `name: type = default, "what is allowed" if |value| test;`.
macro_rules! policy_keys {
    ($($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $allowed:literal if $test:expr;)+) => {
        /// The rules of one search. Built by [`DispatchPolicy::validated`], so inner code needs no
        /// checks.
        #[derive(Debug, Clone, PartialEq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
        pub struct DispatchPolicy {
            $($(#[doc = $doc])+ pub $key: $type,)+
        }

        /// Some keys of a policy: what a market, a rule or an experiment sets.
        #[derive(Debug, Clone, PartialEq, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
        pub struct PolicyPatch {
            $($(#[doc = $doc])+
            #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
            pub $key: Option<$type>,)+
        }

        impl Default for DispatchPolicy {
            /// The values that `config.toml` ships.
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl DispatchPolicy {
            /// All keys, in the order of the configuration.
            pub const KEYS: &'static [KeyDoc] = &[$(KeyDoc {
                name: stringify!($key),
                doc: concat!($($doc, "\n",)+),
                allowed: $allowed,
            },)+];

            /// Sets what `patch` sets.
            pub fn apply(&mut self, patch: &PolicyPatch) {
                $(if let Some(value) = &patch.$key { self.$key = value.clone(); })+
            }

            fn check_each(&self) -> Result<(), PolicyError> {
                $({
                    let allows: fn(&$type) -> bool = $test;
                    if !allows(&self.$key) {
                        return Err(PolicyError {
                            key: stringify!($key),
                            value: format!("{:?}", self.$key),
                            allowed: $allowed,
                        });
                    }
                })+
                Ok(())
            }
        }

        impl From<&DispatchPolicy> for PolicyPatch {
            /// Sets every key to the policy's value.
            fn from(policy: &DispatchPolicy) -> Self {
                Self { $($key: Some(policy.$key.clone()),)+ }
            }
        }

        impl PolicyPatch {
            /// The keys that are set.
            pub fn keys(&self) -> impl Iterator<Item = &'static str> {
                [$(self.$key.is_some().then_some(stringify!($key)),)+].into_iter().flatten()
            }

            /// Checks every value that is set against its own range.
            ///
            /// # Errors
            /// [`PolicyError`] names the first key that is out of range.
            pub fn check(&self) -> Result<(), PolicyError> {
                let mut policy = DispatchPolicy::default();
                policy.apply(self);
                policy.check_each()
            }
        }
    };
}

pub(super) use policy_keys;
