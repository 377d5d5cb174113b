//! The few calls of librdkafka that `rdkafka` has no safe form for.

#![allow(unsafe_code, reason = "calls into C, each kept to one function with a safe signature")]

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::message::BorrowedMessage;

/// Whether a message whose delivery failed can be in the log all the same.
pub(crate) fn may_be_stored(message: &BorrowedMessage<'_>) -> bool {
    // SAFETY: the pointer is valid while the message is borrowed; the call only reads.
    let status = unsafe { sys::rd_kafka_message_status(message.ptr()) };
    status != sys::rd_kafka_msg_status_t::RD_KAFKA_MSG_STATUS_NOT_PERSISTED
}

/// The last header of this name. `rdkafka`'s own look-up panics on names that are not UTF-8, which anyone can write.
pub(crate) fn header<'a>(message: &'a BorrowedMessage<'_>, name: &CStr) -> Option<&'a [u8]> {
    let mut headers = ptr::null_mut();
    let (mut value, mut bytes) = (ptr::null(), 0_usize);
    // SAFETY: the out-pointers are ours; what they are set to belongs to the message and lives as long. A value may
    // be null, which is told apart before the slice is made.
    unsafe {
        let found = sys::rd_kafka_message_headers(message.ptr(), &mut headers);
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let found = sys::rd_kafka_header_get_last(headers, name.as_ptr(), &mut value, &mut bytes);
        if found != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || value.is_null() {
            return None;
        }
        Some(std::slice::from_raw_parts(value.cast::<u8>(), bytes))
    }
}

/// The random identity that Kafka gave the topic when it was made. Blocks up to `timeout`.
///
/// # Errors
/// What the brokers said.
pub(crate) fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> Result<u128, String> {
    let name = CString::new(topic).map_err(|error| error.to_string())?;
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every handle is made and destroyed here, in this order, and outlives the calls that use it; what is
    // read out of the event is copied before the event is destroyed.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client.native_ptr());
        let mut names = [name.as_ptr()];
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = sys::rd_kafka_AdminOptions_new(client.native_ptr(), kind);
        let mut error = [0 as c_char; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, error.as_mut_ptr(), error.len());
        sys::rd_kafka_DescribeTopics(client.native_ptr(), topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, milliseconds.saturating_add(1_000));
        let id = if event.is_null() { Err("no answer in time".to_owned()) } else { id_of(event) };
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        sys::rd_kafka_queue_destroy(queue);
        id
    }
}

/// # Safety
/// `event` must be the answer to a description of one topic.
unsafe fn id_of(event: *mut sys::rd_kafka_event_t) -> Result<u128, String> {
    // SAFETY: by the caller; the pointers belong to the event, and each is checked where it may be null.
    unsafe {
        if sys::rd_kafka_event_error(event) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(sys::rd_kafka_event_error_string(event)));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count != 1 {
            return Err(format!("{count} topics came where one was asked for"));
        }
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && sys::rd_kafka_error_code(error) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(text(sys::rd_kafka_error_string(error)));
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Ok(0);
        }
        let most = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
        let least = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
        Ok(u128::from(most) << 64 | u128::from(least))
    }
}

/// # Safety
/// `words` must be null or end with a zero.
unsafe fn text(words: *const c_char) -> String {
    if words.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(words) }.to_string_lossy().into_owned()
}
