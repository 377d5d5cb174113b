//! The protobuf wire format: fields of a message, borrowed.

/// Why bytes are not a protobuf message.
pub(super) type Malformed = &'static str;

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

const WRONG_TYPE: Malformed = "a field has the wrong type";
const CUT_OFF: Malformed = "the message is cut off";

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Wire::Bytes(bytes) = self { Ok(bytes) } else { Err(WRONG_TYPE) }
    }

    pub(super) fn varint(self) -> Result<u64, Malformed> {
        if let Wire::Varint(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }

    pub(super) fn fixed64(self) -> Result<u64, Malformed> {
        if let Wire::Fixed64(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }

    pub(super) fn fixed32(self) -> Result<u32, Malformed> {
        if let Wire::Fixed32(value) = self { Ok(value) } else { Err(WRONG_TYPE) }
    }
}

/// Reads the fields of a message one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a>(pub(super) &'a [u8]);

impl<'a> Message<'a> {
    /// The next field's number and value; None at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.take_varint()?;
        let field = u32::try_from(tag >> 3).map_err(|_| "a field's number is too high")?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.take_varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(*self.take_array()?)),
            2 => {
                let length = usize::try_from(self.take_varint()?).map_err(|_| CUT_OFF)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(*self.take_array()?)),
            _ => return Err("a field has an unknown wire type"),
        };
        Ok(Some((field, value)))
    }

    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(array)
    }

    #[inline]
    fn take_varint(&mut self) -> Result<u64, Malformed> {
        match self.0.split_first() {
            // Nearly every tag and most lengths.
            Some((&byte, rest)) if byte < 0x80 => {
                self.0 = rest;
                Ok(byte.into())
            }
            _ => self.take_long_varint(),
        }
    }

    fn take_long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.0 = &self.0[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.0.len() < 10 { CUT_OFF } else { "a number is too long" })
    }
}

pub(super) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The tag of a field with one of the first 15 numbers.
const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

pub(super) fn put_tagged_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(tag(field, 0));
    put_varint(out, value);
}

pub(super) fn put_fixed64(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(tag(field, 1));
    out.extend_from_slice(&value.to_le_bytes());
}

/// The head of a field of `length` bytes, which the caller writes next.
pub(super) fn put_length(out: &mut Vec<u8>, field: u8, length: usize) {
    out.push(tag(field, 2));
    put_varint(out, length as u64);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_length(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A field that `body` writes and whose length is known only then.
pub(super) fn put_framed(out: &mut Vec<u8>, field: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[tag(field, 2), 0, 0]);
    let start = out.len();
    body(out);
    let length = out.len() - start;
    if (0x80..0x4000).contains(&length) {
        out[start - 2] = length as u8 | 0x80;
        out[start - 1] = (length >> 7) as u8;
    } else {
        // Two bytes are kept free, since that is what nearly every record's length takes. Others move.
        let mut head = Vec::with_capacity(10);
        put_varint(&mut head, length as u64);
        out.splice(start - 2..start, head);
    }
}

/// A `KeyValue` whose value is text, as most are.
pub(super) fn put_text_pair(out: &mut Vec<u8>, field: u8, name: &str, text: &str) {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    let value = framed_len(text.len());
    let pair = framed_len(name.len()) + framed_len(value);
    if pair < 0x80 {
        // Every length is one byte.
        out.reserve(2 + pair);
        out.extend_from_slice(&[tag(field, 2), pair as u8, tag(1, 2), name.len() as u8]);
        out.extend_from_slice(name);
        out.extend_from_slice(&[tag(2, 2), value as u8, tag(1, 2), text.len() as u8]);
        out.extend_from_slice(text);
    } else {
        put_length(out, field, pair);
        put_bytes(out, 1, name);
        put_length(out, 2, value);
        put_bytes(out, 1, text);
    }
}

/// What a field of `length` bytes takes with its head.
pub(super) fn framed_len(length: usize) -> usize {
    1 + varint_len(length as u64) + length
}
