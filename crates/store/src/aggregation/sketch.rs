//! Percentiles by nearest rank: exact while few values were seen, then with a bounded rank error.
//!
//! Levels of buffers, where a value at level `h` stands for 2^h values. A full buffer is sorted and every other value
//! of it moves up a level, the odd and the even ones in turn. One such step at level `h` shifts a rank by at most
//! 2^h, and `n / (CAPACITY * 2^h)` steps happen there, so that each level adds at most `n / CAPACITY` to the error of
//! a rank: with 8 192 values a buffer and 30 levels (a trillion values) less than 0.4 % of `n`, in the worst case and
//! not only probably. Nothing is lost by merging.

/// Values in a buffer before it is halved; up to here percentiles are exact.
pub const CAPACITY: usize = 8_192;

#[derive(Debug, Clone, Default)]
pub struct Sketch {
    levels: Vec<Level>,
    count: u64,
}

#[derive(Debug, Clone, Default)]
struct Level {
    values: Vec<f64>,
    /// Whether the next halving keeps the odd places.
    odd: bool,
}

impl Sketch {
    pub fn add(&mut self, value: f64) {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        self.levels[0].values.push(value);
        self.count += 1;
        if self.levels[0].values.len() > CAPACITY {
            self.halve_full();
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (index, level) in other.levels.into_iter().enumerate() {
            match self.levels.get_mut(index) {
                Some(mine) => mine.values.extend(level.values),
                None => self.levels.push(level),
            }
        }
        self.halve_full();
    }

    fn halve_full(&mut self) {
        let mut index = 0;
        while index < self.levels.len() {
            if self.levels[index].values.len() > CAPACITY {
                let raised = self.levels[index].halve();
                match self.levels.get_mut(index + 1) {
                    Some(above) => above.values.extend(raised),
                    None => self.levels.push(Level { values: raised, odd: false }),
                }
            }
            index += 1;
        }
    }

    /// The value at the nearest rank of `percentile` (0 to 100); none when there are no values.
    pub fn percentile(&self, percentile: u8) -> Option<f64> {
        let mut weighted: Vec<(f64, u64)> = self
            .levels
            .iter()
            .enumerate()
            .flat_map(|(height, level)| level.values.iter().map(move |value| (*value, 1 << height)))
            .collect();
        weighted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let rank = (self.count * u64::from(percentile)).div_ceil(100).max(1);
        let mut seen = 0;
        for (value, weight) in &weighted {
            seen += weight;
            if seen >= rank {
                return Some(*value);
            }
        }
        weighted.last().map(|(value, _)| *value)
    }

    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|level| level.values.capacity() * size_of::<f64>()).sum()
    }
}

impl Level {
    /// Takes an even number of values out and returns every other of them; a value left over stays.
    fn halve(&mut self) -> Vec<f64> {
        self.values.sort_unstable_by(f64::total_cmp);
        let left_over = if self.values.len() % 2 == 1 { self.values.pop() } else { None };
        let raised = self.values.iter().skip(usize::from(self.odd)).step_by(2).copied().collect();
        self.odd = !self.odd;
        self.values.clear();
        self.values.extend(left_over);
        raised
    }
}
