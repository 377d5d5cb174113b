//! Apache Kafka behind the queue seam.
