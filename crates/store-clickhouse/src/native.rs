//! ClickHouse's Native format: a block of columns, as the server keeps them.
//!
//! A block is the number of columns and of rows, then for each column its name, its type and its values. Numbers of
//! things and lengths of text are LEB128; values are little-endian. An array column is the ends of its rows (64 bits
//! each), then its items; a map is an array of keys beside an array of values with the same ends.

use bytes::Bytes;

/// A block in the making. Every column must get `rows` values.
#[derive(Debug)]
pub struct Block {
    out: Vec<u8>,
    /// (name, type), for the `input` function.
    columns: Vec<(&'static str, &'static str)>,
    rows: usize,
    body: Vec<u8>,
}

impl Block {
    /// `bytes`: about how large it will be.
    pub fn new(rows: usize, bytes: usize) -> Self {
        Self { out: Vec::new(), columns: Vec::new(), rows, body: Vec::with_capacity(bytes) }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> &[(&'static str, &'static str)] {
        &self.columns
    }

    /// Begins a column; its values follow.
    pub fn column(&mut self, name: &'static str, kind: &'static str) -> Values<'_> {
        self.columns.push((name, kind));
        text(&mut self.body, name.as_bytes());
        text(&mut self.body, kind.as_bytes());
        Values(&mut self.body)
    }

    /// The bytes to send: the head and the columns.
    pub fn finish(mut self) -> [Bytes; 2] {
        number(&mut self.out, self.columns.len() as u64);
        number(&mut self.out, self.rows as u64);
        [self.out.into(), self.body.into()]
    }
}

/// Where the values of a column go.
#[derive(Debug)]
pub struct Values<'b>(&'b mut Vec<u8>);

impl<'b> Values<'b> {
    /// Values that become part of a column later, by [`Values::raw`].
    pub fn on(out: &'b mut Vec<u8>) -> Self {
        Self(out)
    }

    /// Values that were written apart.
    pub fn raw(&mut self, values: &[u8]) {
        self.0.extend_from_slice(values);
    }

    pub fn text(&mut self, value: &str) {
        text(self.0, value.as_bytes());
    }

    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u128(&mut self, value: u128) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Lower-case hexadecimal text.
    pub fn hex(&mut self, bytes: &[u8]) {
        number(self.0, bytes.len() as u64 * 2);
        let start = self.0.len();
        self.0.resize(start + bytes.len() * 2, 0);
        // The slice has exactly twice the length.
        let _ = hex::encode_to_slice(bytes, &mut self.0[start..]);
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_laid_out_as_the_format_says() {
        let mut block = Block::new(2, 64);
        let mut names = block.column("n", "String");
        names.text("ab");
        names.hex(&[0xff]);
        let mut ends = block.column("e", "UInt64");
        ends.u64(1);
        ends.u64(300);
        let [head, body] = block.finish();
        assert_eq!(&head[..], [2, 2]);
        let expected = b"\x01n\x06String\x02ab\x02ff\x01e\x06UInt64\x01\0\0\0\0\0\0\0\x2c\x01\0\0\0\0\0\0";
        assert_eq!(&body[..], expected);
    }

    #[test]
    fn long_lengths_take_several_bytes() {
        let mut out = Vec::new();
        number(&mut out, 300);
        assert_eq!(out, [0xac, 0x02]);
    }
}
