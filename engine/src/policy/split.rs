//! Who of a wave sees the offer when.

use super::dispatch::DispatchPolicy;

impl DispatchPolicy {
    /// How much later than the first the drivers of a wave see their offers, in milliseconds.
    /// `carriers` tells, best driver first, who carries one of `priority_tags`.
    ///
    /// With `priority_split` the first part belongs to carriers, even when they do not fill it; a
    /// wave in which nobody is a carrier, or everybody, is split by place alone.
    pub fn split_delays(&self, carriers: &[bool]) -> Vec<u64> {
        let first = self.split_sizes.first().map_or(0, |size| *size as usize);
        let differ = carriers.contains(&true) && carriers.contains(&false);
        if !self.priority_split || !differ {
            return (0..carriers.len()).map(|place| self.split_delay_at(place)).collect();
        }
        let (mut in_first, mut later) = (0, first);
        let place = |carries: &bool| {
            let taken = if *carries && in_first < first { &mut in_first } else { &mut later };
            *taken += 1;
            self.split_delay_at(*taken - 1)
        };
        carriers.iter().map(place).collect()
    }

    /// How much later than the first the driver at `place` (the first is 0) of a wave sees his
    /// offer, in milliseconds.
    fn split_delay_at(&self, place: usize) -> u64 {
        let mut end = 0;
        let earlier_parts = self.split_sizes.iter().take_while(|size| {
            end += **size as usize;
            end <= place
        });
        self.split_delay_ms * earlier_parts.count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(policy: &DispatchPolicy, carriers: [bool; 5]) -> Vec<u64> {
        policy.split_delays(&carriers)
    }

    #[test]
    fn the_first_part_of_a_priority_split_is_for_carriers_alone() {
        let by_place = DispatchPolicy {
            split_sizes: vec![2, 2],
            split_delay_ms: 1_000,
            ..DispatchPolicy::default()
        };
        let priority = DispatchPolicy { priority_split: true, ..by_place.clone() };
        let one = [true, false, false, false, false];
        assert_eq!(delays(&by_place, one), [0, 0, 1_000, 1_000, 2_000]);
        assert_eq!(delays(&priority, one), [0, 1_000, 1_000, 2_000, 2_000]);
        let lower = [false, true, true, true, false];
        assert_eq!(delays(&priority, lower), [1_000, 0, 0, 1_000, 2_000]);
    }

    #[test]
    fn a_wave_of_equals_and_a_wave_without_parts_wait_for_nobody() {
        let priority = DispatchPolicy { priority_split: true, ..DispatchPolicy::default() };
        assert_eq!(delays(&priority, [true, false, false, false, false]), [0; 5]);
        let split = DispatchPolicy { split_sizes: vec![2], split_delay_ms: 1_000, ..priority };
        for carriers in [[true; 5], [false; 5]] {
            assert_eq!(delays(&split, carriers), [0, 0, 1_000, 1_000, 1_000]);
        }
    }
}
