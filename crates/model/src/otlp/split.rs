//! One payload to several, for a queue whose messages are smaller.

use super::decode::DecodeError;
use super::wire::{self, Message};

/// Where records stand, in `ExportLogsServiceRequest`, `ResourceLogs` and `ScopeLogs`.
const GROUPS: u8 = 1;
const SCOPES: u8 = 2;
const RECORDS: u8 = 2;

/// A payload and how many records it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub payload: Vec<u8>,
    pub records: u32,
}

/// Cuts a payload between its records into payloads of at most `bytes_max`, each an `ExportLogsServiceRequest` that
/// repeats the resource and the scope of its records. Records and their order stay as they are. None when a record
/// does not fit.
///
/// # Errors
/// The outer structure can't be read.
pub fn split(payload: &[u8], bytes_max: usize) -> Result<Option<Vec<Part>>, DecodeError> {
    let mut cutter = Cutter { bytes_max, ..Cutter::default() };
    let mut request = Message(payload);
    while let Some((field, group)) = request.next()? {
        if field != u32::from(GROUPS) {
            continue;
        }
        let group = group.bytes()?;
        cutter.group_head = without(group, SCOPES)?;
        cutter.group.clone_from(&cutter.group_head);
        let mut scopes = Message(group);
        while let Some((field, scope)) = scopes.next()? {
            if field != u32::from(SCOPES) {
                continue;
            }
            let scope = scope.bytes()?;
            cutter.scope_head = without(scope, RECORDS)?;
            cutter.scope.clone_from(&cutter.scope_head);
            let mut records = Message(scope);
            while let Some((field, record)) = records.next()? {
                if field == u32::from(RECORDS) && !cutter.push(record.bytes()?) {
                    return Ok(None);
                }
            }
            cutter.end_scope();
        }
        cutter.end_group();
    }
    cutter.cut();
    Ok(Some(cutter.parts))
}

/// The fields of a message but those of one number, as they stand there.
fn without(message: &[u8], left_out: u8) -> Result<Vec<u8>, DecodeError> {
    let (mut kept, mut rest) = (Vec::new(), Message(message));
    loop {
        let before = rest.0;
        let Some((field, _)) = rest.next()? else { return Ok(kept) };
        if field != u32::from(left_out) {
            kept.extend_from_slice(&before[..before.len() - rest.0.len()]);
        }
    }
}

/// A part as it grows: whole groups, and the group and the scope that are open.
#[derive(Default)]
struct Cutter {
    bytes_max: usize,
    parts: Vec<Part>,
    groups: Vec<u8>,
    group: Vec<u8>,
    scope: Vec<u8>,
    records: u32,
    /// Records of the open group, and of its open scope, in this part.
    in_group: u32,
    in_scope: u32,
    group_head: Vec<u8>,
    scope_head: Vec<u8>,
}

impl Cutter {
    /// False when the record does not fit a part of its own.
    fn push(&mut self, record: &[u8]) -> bool {
        if !self.fits(record) && self.records > 0 {
            self.end_scope();
            self.end_group();
            self.cut();
        }
        let fits = self.fits(record);
        wire::put_bytes(&mut self.scope, RECORDS, record);
        self.records += 1;
        self.in_group += 1;
        self.in_scope += 1;
        fits
    }

    fn fits(&self, record: &[u8]) -> bool {
        let scope = wire::framed_len(self.scope.len() + wire::framed_len(record.len()));
        self.groups.len() + wire::framed_len(self.group.len() + scope) <= self.bytes_max
    }

    fn end_scope(&mut self) {
        if self.in_scope > 0 {
            wire::put_bytes(&mut self.group, SCOPES, &self.scope);
        }
        self.scope.clone_from(&self.scope_head);
        self.in_scope = 0;
    }

    fn end_group(&mut self) {
        if self.in_group > 0 {
            wire::put_bytes(&mut self.groups, GROUPS, &self.group);
        }
        self.group.clone_from(&self.group_head);
        self.in_group = 0;
    }

    fn cut(&mut self) {
        if self.records > 0 {
            self.parts.push(Part { payload: std::mem::take(&mut self.groups), records: self.records });
            self.records = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::Limits;
    use crate::otlp::{self, DecodeContext, Encoder};
    use crate::record::{Record, RecordId};

    fn records(payload: &[u8], first: u32) -> Vec<Record<'static>> {
        let limits = Limits::default();
        let context = DecodeContext { project: "p", received: 5, origin: 9, limits: &limits };
        let mut all = Vec::new();
        let decoded = otlp::decode(payload, &context, &mut |index, record| {
            let mut record = record.expect("a record").into_owned();
            record.id = RecordId { origin: 9, index: first + index };
            all.push(record);
        });
        decoded.expect("a request");
        all
    }

    proptest! {
        #[test]
        fn records_and_their_order_stay(
            lines in proptest::collection::vec((0..3_u8, 0..3_u8, "[a-z]{0,40}"), 0..60),
            bytes_max in 150..1_500_usize,
        ) {
            let mut encoder = Encoder::new();
            for (service, host, message) in &lines {
                encoder.push(&Record {
                    timestamp: 1,
                    service: format!("service-{service}").into(),
                    host: Some(format!("host-{host}").into()),
                    message: message.into(),
                    ..Record::default()
                });
            }
            let payload = encoder.finish();
            let parts = split(&payload, bytes_max).expect("it reads").expect("it fits");
            let (mut all, mut first) = (Vec::new(), 0);
            for part in &parts {
                prop_assert!(part.payload.len() <= bytes_max && part.records > 0);
                let records = records(&part.payload, first);
                prop_assert_eq!(records.len(), part.records as usize);
                first += part.records;
                all.extend(records);
            }
            prop_assert_eq!(all, records(&payload, 0));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), bytes_max in 0..100_usize) {
            let _ = split(&bytes, bytes_max);
        }
    }

    #[test]
    fn a_record_that_fits_nowhere_is_told() {
        let mut encoder = Encoder::new();
        encoder.push(&Record { message: "x".repeat(500).into(), ..Record::default() });
        let payload = encoder.finish();
        assert_eq!(split(&payload, 400), Ok(None));
        assert_eq!(split(&payload, payload.len()).map(|parts| parts.map(|parts| parts.len())), Ok(Some(1)));
        assert!(split(b"\xff\xff", 400).is_err());
    }
}
