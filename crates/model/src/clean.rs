//! How what a record may not be is mended.
