//! How far appends may run ahead of a processor in the same process.
//!
//! A collector takes what its queue takes. Beside a processor it takes that one's cores too, and would leave it
//! behind for as long as clients send: what they sent would be durable, but not searchable for minutes. So each
//! partition has a window of bytes that are appended and not stored yet, and appends wait for room in it, in order.
//!
//! Nothing is refused here, and nobody waits for a processor that stands still because its store is away or its
//! messages do not read: then the queue takes what comes, and the processor catches up later. While it catches up,
//! half of what it stores is room for new appends, so that it gets to the end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::position::Partition;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A processor that stored nothing for so long stands still.
const STILL: Duration = Duration::from_secs(2);
/// Messages that were received so long ago are stored by a processor that catches up.
const LATE: Duration = Duration::from_secs(5);

/// The windows of all partitions.
#[derive(Debug)]
pub struct Pace {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    window: usize,
    /// The room that is left in the window.
    room: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes of the window that are taken.
    ahead: usize,
    /// When something was stored last, or the window was empty.
    moved: Instant,
}

/// Room in a window. Dropped before [`Admitted::appended`], it is given back.
#[derive(Debug)]
pub struct Admitted<'a> {
    lane: &'a Lane,
    bytes: usize,
    /// Whether there was no room at first.
    pub waited: bool,
}

impl Pace {
    /// `window` is the bytes of payload over all partitions.
    pub fn new(partitions: u32, window: usize) -> Self {
        let window = (window / partitions.max(1) as usize).clamp(1, u32::MAX as usize);
        Self { lanes: (0..partitions).map(|_| Lane::new(window)).collect() }
    }

    /// Waits until a message of so many bytes has room, or the processor stands still.
    pub async fn admit(&self, partition: Partition, bytes: usize) -> Option<Admitted<'_>> {
        let lane = self.lanes.get(partition.0 as usize)?;
        let bytes = bytes.min(lane.window);
        if let Ok(room) = lane.room.try_acquire_many(bytes as u32) {
            room.forget();
            return Some(lane.take(bytes, false));
        }
        let mut room = std::pin::pin!(lane.room.acquire_many(bytes as u32));
        loop {
            tokio::select! {
                biased;
                room = &mut room => {
                    room.ok()?.forget();
                    return Some(lane.take(bytes, true));
                }
                () = tokio::time::sleep_until(lane.still_at()) => {
                    if lane.still_at() <= Instant::now() {
                        return None;
                    }
                }
            }
        }
    }

    /// Messages of so many bytes are stored, the last of them received then, in nanoseconds since the Unix epoch.
    pub fn stored(&self, partition: Partition, bytes: usize, received: i64) {
        let Some(lane) = self.lanes.get(partition.0 as usize) else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_late = now.saturating_sub(Duration::from_nanos(received.max(0) as u64)) > LATE;
        lane.give_back(if is_late { bytes / 2 } else { bytes });
    }
}

impl Lane {
    fn new(window: usize) -> Self {
        let state = Mutex::new(State { ahead: 0, moved: Instant::now() });
        Self { window, room: Semaphore::new(window), state }
    }

    fn take(&self, bytes: usize, waited: bool) -> Admitted<'_> {
        let mut state = self.state.lock();
        if state.ahead == 0 {
            state.moved = Instant::now();
        }
        state.ahead += bytes;
        Admitted { lane: self, bytes, waited }
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.state.lock();
        // Messages from before this start never took room.
        let bytes = bytes.min(state.ahead);
        state.ahead -= bytes;
        state.moved = Instant::now();
        self.room.add_permits(bytes);
    }

    fn still_at(&self) -> Instant {
        self.state.lock().moved + STILL
    }
}

impl Admitted<'_> {
    /// The message is in the queue: its room is free when it is stored.
    pub fn appended(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.lane.give_back(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: Partition = Partition(0);

    fn now() -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64)
    }

    async fn append(pace: &Pace, bytes: usize) -> bool {
        match pace.admit(P, bytes).await {
            Some(admitted) => {
                let waited = admitted.waited;
                admitted.appended();
                waited
            }
            None => panic!("the processor does not stand still"),
        }
    }

    #[tokio::test]
    async fn appends_wait_for_room_in_order() {
        let pace = std::sync::Arc::new(Pace::new(1, 100));
        assert!(!append(&pace, 100).await);
        let done = std::sync::Arc::new(Mutex::new(Vec::new()));
        let waiting = [1_000, 1].map(|bytes| {
            let (pace, done) = (pace.clone(), done.clone());
            async move {
                assert!(append(&pace, bytes).await);
                done.lock().push(bytes);
            }
        });
        let [large, small] = waiting;
        let store = async {
            while done.lock().len() < 2 {
                pace.stored(P, 40, now());
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(large, small, store);
        assert_eq!(*done.lock(), [1_000, 1], "the one that waited first came second");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_processor_that_stands_still() {
        let pace = Pace::new(2, 200);
        append(&pace, 100).await;
        let begun = Instant::now();
        assert!(pace.admit(P, 1).await.is_none());
        assert!(begun.elapsed() >= STILL);
        let begun = Instant::now();
        assert!(pace.admit(P, 1).await.is_none());
        assert!(begun.elapsed() < STILL, "it is known by now");
        assert!(pace.admit(Partition(1), 100).await.is_some(), "another partition's processor works");
    }

    #[tokio::test]
    async fn room_comes_back_when_the_append_fails_and_is_never_more_than_the_window() {
        let pace = Pace::new(1, 100);
        drop(pace.admit(P, 100).await);
        append(&pace, 100).await;
        pace.stored(P, 1_000, now());
        assert!(!append(&pace, 100).await);
        assert!(pace.admit(P, 1).await.is_none());
    }

    #[tokio::test]
    async fn late_messages_make_half_the_room() {
        let pace = Pace::new(1, 100);
        append(&pace, 100).await;
        pace.stored(P, 100, now() - 60_000_000_000);
        assert!(!append(&pace, 50).await);
        assert!(pace.admit(P, 1).await.is_none());
    }
}
