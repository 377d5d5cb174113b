//! How much of a message is made into attributes. A message past one of these is left as it is, never cut: then the
//! outcome doesn't depend on how often the steps are applied.

/// A longer message is not parsed.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Fields that a message may have, after flattening.
pub(crate) const FIELDS_MAX: usize = 256;

/// Names and text values of a message's fields together; flattened names repeat what stands before their dots.
pub(crate) const FIELD_BYTES_MAX: usize = MESSAGE_BYTES_MAX;

/// How deep objects and arrays may stand in each other.
pub(crate) const NESTING_MAX: usize = 16;

/// A name after flattening.
pub(crate) const NAME_BYTES_MAX: usize = 512;

/// Attributes of a record, those of its message included.
pub(crate) const ATTRIBUTES_MAX: usize = 1_000;
