//! `devlogs verify`: proves that what was acknowledged is stored exactly once.
