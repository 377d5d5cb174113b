//! A page of messages, bounded in bytes though Redis counts entries only.
//!
//! Redis keeps for each partition where the last message above 1 KiB, 4 KiB … 4 MiB stands. A reader behind one of these
//! positions knows how large messages can be, and so how many it may ask for. It asks for them without a script. Where
//! messages may be too large for that, a script weighs them one by one.

use model::position::{Partition, Position};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use crate::core::Core;
use crate::scripts::{READ, REPLACED};

const MESSAGES_MAX: usize = 10_000;
/// Fewer are not worth a question of their own.
const MESSAGES_MIN: usize = 8;
const CLASS_BYTES_MIN: usize = 1 << 10;

/// What a reader wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) partition: Partition,
    pub(crate) from: Position,
    pub(crate) bytes_max: usize,
}

/// What a partition holds at and behind the position asked for.
pub(crate) struct Page {
    pub(crate) next: Position,
    pub(crate) low: Position,
    pub(crate) entries: Vec<Value>,
}

/// Incarnation, next, low, and the positions of large messages.
type State = (Option<String>, Option<u64>, Option<u64>, Option<String>);

pub(crate) async fn read(
    core: &Core,
    connection: &mut MultiplexedConnection,
    asked: Asked,
) -> Result<Page, RedisError> {
    let Asked { partition, from, bytes_max } = asked;
    let state: State = state_command(core, partition).query_async(connection).await?;
    let next = check(core, &state)?;
    if next <= from {
        // Nothing of ours; what others wrote there is to be told.
        return weighed(core, connection, asked).await;
    }
    match count(state.3.as_deref().unwrap_or_default(), from, bytes_max) {
        Some(count) => plain(core, connection, asked, next, count).await,
        None => weighed(core, connection, asked).await,
    }
}

fn state_command(core: &Core, partition: Partition) -> redis::Cmd {
    let mut state = redis::cmd("HMGET");
    state.arg(core.keys.meta()).arg("incarnation").arg(format!("next:{partition}"));
    state.arg(format!("low:{partition}")).arg(format!("over:{partition}"));
    state
}

/// Where the next message will stand, if the queue is still the one that we know.
fn check(core: &Core, (incarnation, next, ..): &State) -> Result<Position, RedisError> {
    if incarnation.as_deref() == Some(&*core.incarnation().to_string()) {
        return Ok(Position(next.unwrap_or(0)));
    }
    Err(redis::make_extension_error(REPLACED.to_owned(), Some("the queue is another one".to_owned())))
}

/// How many messages behind `from` surely fit; None when that is too few.
fn count(over: &str, from: Position, bytes_max: usize) -> Option<usize> {
    let mut class_bytes = CLASS_BYTES_MIN;
    for position in over.split(' ') {
        if position.parse().is_ok_and(|position: i64| position < from.0.cast_signed()) {
            let count = bytes_max / class_bytes;
            return (count >= MESSAGES_MIN).then_some(count.min(MESSAGES_MAX));
        }
        class_bytes *= 4;
    }
    None
}

/// Up to `count` messages before `next`: what was appended since may be larger.
async fn plain(
    core: &Core,
    connection: &mut MultiplexedConnection,
    asked: Asked,
    next: Position,
    count: usize,
) -> Result<Page, RedisError> {
    let Asked { partition, from, .. } = asked;
    let mut both = redis::pipe();
    // The state last: if the queue is then still the one it was before, the entries are its.
    both.cmd("XRANGE").arg(core.keys.stream(partition)).arg(format!("{from}-0")).arg(format!("({next}-0"));
    both.arg("COUNT").arg(count).add_command(state_command(core, partition));
    let (entries, state): (Vec<Value>, State) = both.query_async(connection).await?;
    check(core, &state)?;
    // Of the first state: the page ends there.
    Ok(Page { next, low: Position(state.2.unwrap_or(0)), entries })
}

async fn weighed(core: &Core, connection: &mut MultiplexedConnection, asked: Asked) -> Result<Page, RedisError> {
    let Asked { partition, from, bytes_max } = asked;
    let mut read = READ.key((core.keys.meta(), core.keys.stream(partition)));
    read.arg(core.incarnation().to_string()).arg(format!("{from}-0"));
    read.arg(bytes_max).arg(MESSAGES_MAX).arg(partition.0);
    let (next, low, entries): (u64, u64, Vec<Value>) = read.invoke_async(connection).await?;
    Ok(Page { next: Position(next), low: Position(low), entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_bounded_by_the_largest_message_that_may_come() {
        let over = "90 80 70 60 50 40 30";
        let count = |from| count(over, Position(from), 8 << 20);
        assert_eq!(count(91), Some(8 << 10));
        assert_eq!(count(90), Some(2 << 10), "the message at 90 has more than 1 KiB and at most 4");
        assert_eq!([count(61), count(51), count(41)], [Some(128), Some(32), Some(8)]);
        assert_eq!([count(40), count(31), count(30)], [None; 3], "one may have more than a MiB");
        assert_eq!(super::count("", Position(0), 8 << 20), None, "of a queue that did not keep this");
        assert_eq!(super::count("-1 -1 -1 -1 -1 -1 -1", Position(0), usize::MAX), Some(MESSAGES_MAX));
    }
}
