//! Reading and printing times.
