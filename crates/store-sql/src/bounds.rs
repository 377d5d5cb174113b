//! Bounds on numbers, made ready for databases: integers as integers, doubles as doubles.

use std::ops::Bound;

use model::number::Number;

/// Which integers and which doubles lie within two bounds. Integers compare with integers exactly and with doubles as
/// doubles; since that conversion keeps the order, either way a run of integers lies within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The first and the last integer; none when no integer lies within.
    pub integers: Option<(i64, i64)>,
    pub low: Bound<f64>,
    pub high: Bound<f64>,
}

impl Interval {
    pub(crate) fn new(low: Bound<Number>, high: Bound<Number>) -> Self {
        let first = match low {
            Bound::Unbounded => Some(i64::MIN),
            Bound::Included(low) => first_where(|number| number.compare(low).is_ge()),
            Bound::Excluded(low) => first_where(|number| number.compare(low).is_gt()),
        };
        let beyond = match high {
            Bound::Unbounded => None,
            Bound::Included(high) => first_where(|number| number.compare(high).is_gt()),
            Bound::Excluded(high) => first_where(|number| number.compare(high).is_ge()),
        };
        let last = match beyond {
            None => Some(i64::MAX),
            Some(beyond) => beyond.checked_sub(1),
        };
        let integers = first.zip(last).filter(|(first, last)| first <= last);
        Self { integers, low: low.map(Number::as_f64), high: high.map(Number::as_f64) }
    }

    /// What equals a number by value.
    pub(crate) fn equal_to(number: Number) -> Self {
        Self::new(Bound::Included(number), Bound::Included(number))
    }
}

/// The first integer for which a condition holds that holds for all greater ones too.
fn first_where(holds: impl Fn(Number) -> bool) -> Option<i64> {
    let (mut low, mut high) = (i128::from(i64::MIN), i128::from(i64::MAX) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match i64::try_from(middle) {
            Ok(number) if !holds(Number::Int(number)) => low = middle + 1,
            _ => high = middle,
        }
    }
    i64::try_from(low).ok()
}

#[cfg(test)]
mod tests {
    use model::number::Number::{Double, Int};

    use super::*;

    #[test]
    fn integers_within_bounds() {
        let integers = |low, high| Interval::new(low, high).integers;
        let open = Bound::Unbounded;
        assert_eq!(integers(open, open), Some((i64::MIN, i64::MAX)));
        assert_eq!(integers(Bound::Included(Int(5)), Bound::Excluded(Int(7))), Some((5, 6)));
        assert_eq!(integers(Bound::Excluded(Double(-0.5)), Bound::Included(Double(1.5))), Some((0, 1)));
        assert_eq!(integers(Bound::Included(Double(0.1)), Bound::Included(Double(0.9))), None);
        assert_eq!(integers(Bound::Excluded(Int(i64::MAX)), open), None);
        assert_eq!(integers(open, Bound::Excluded(Int(i64::MIN))), None);
        assert_eq!(integers(Bound::Included(Double(1e300)), open), None);
    }

    #[test]
    fn integers_that_equal_a_double_as_doubles() {
        let near = 9_007_199_254_740_992;
        assert_eq!(Interval::equal_to(Double(near as f64)).integers, Some((near, near + 1)));
        assert_eq!(Interval::equal_to(Int(near)).integers, Some((near, near)));
        let largest = Interval::equal_to(Double(i64::MAX as f64)).integers;
        assert_eq!(largest, Some((i64::MAX - 511, i64::MAX)));
    }
}
