//! Redis Streams behind the queue seam.
