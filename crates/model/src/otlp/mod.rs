//! OTLP protobuf (`ExportLogsServiceRequest`) to records and back.

pub mod decode;
pub mod encode;
pub mod split;
mod wire;

pub use decode::{DecodeContext, DecodeError, count, decode};
pub use encode::Encoder;
pub use split::split;
