//! One listener's filter and bounded buffer.

use std::collections::VecDeque;
use std::sync::Arc;

use model::Record;
use model::query::Evaluator;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Records that wait for a slow listener.
const BUFFERED_MAX: usize = 4_096;
const BUFFERED_BYTES_MAX: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) project: Arc<str>,
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug)]
struct State {
    filter: Arc<Evaluator>,
    /// Rises with each change of the filter, so that a record matched by the old one is not taken for the new one's.
    revision: u64,
    /// Records as JSON, oldest first.
    waiting: VecDeque<Arc<str>>,
    waiting_bytes: usize,
    dropped: u64,
}

/// What a listener gets next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrivals {
    /// Missed before `records`.
    pub(crate) dropped: u64,
    pub(crate) records: Vec<Arc<str>>,
}

impl Subscriber {
    pub(crate) fn new(project: Arc<str>, filter: Evaluator) -> Self {
        let state =
            State { filter: Arc::new(filter), revision: 0, waiting: VecDeque::new(), waiting_bytes: 0, dropped: 0 };
        Self { project, state: Mutex::new(state), arrived: Notify::new() }
    }

    /// From now on only what the new filter matches comes.
    pub(crate) fn set_filter(&self, filter: Evaluator) {
        let mut state = self.state.lock();
        state.filter = Arc::new(filter);
        state.revision += 1;
        state.waiting.clear();
        state.waiting_bytes = 0;
        state.dropped = 0;
    }

    /// Takes a record if it matches; `json` makes its text, once for all listeners. The oldest that wait give way.
    pub(crate) fn offer(&self, record: &Record<'_>, json: &mut dyn FnMut() -> Arc<str>) {
        let (filter, revision) = {
            let state = self.state.lock();
            (Arc::clone(&state.filter), state.revision)
        };
        if !filter.matches(record) {
            return;
        }
        let text = json();
        let mut state = self.state.lock();
        if state.revision != revision {
            return;
        }
        state.waiting_bytes += text.len();
        state.waiting.push_back(text);
        while state.waiting.len() > BUFFERED_MAX || state.waiting_bytes > BUFFERED_BYTES_MAX {
            let Some(oldest) = state.waiting.pop_front() else { break };
            state.waiting_bytes -= oldest.len();
            state.dropped += 1;
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Messages that nobody could read any more.
    pub(crate) fn miss(&self, count: u64) {
        self.state.lock().dropped += count;
        self.arrived.notify_one();
    }

    /// Waits until there is something to take.
    pub(crate) async fn wait(&self) {
        loop {
            {
                let state = self.state.lock();
                if !state.waiting.is_empty() || state.dropped > 0 {
                    return;
                }
            }
            self.arrived.notified().await;
        }
    }

    /// The oldest records that wait, within the limits of one message.
    pub(crate) fn take(&self, records_max: usize, bytes_max: usize) -> Arrivals {
        let mut state = self.state.lock();
        let mut arrivals = Arrivals { dropped: std::mem::take(&mut state.dropped), records: Vec::new() };
        let mut bytes = 0;
        while arrivals.records.len() < records_max && bytes < bytes_max {
            let Some(text) = state.waiting.pop_front() else { break };
            bytes += text.len();
            state.waiting_bytes -= text.len();
            arrivals.records.push(text);
        }
        arrivals
    }
}
