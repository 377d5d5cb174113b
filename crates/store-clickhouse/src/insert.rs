//! Inserts: one block, one answer.

use bytes::Bytes;
use clickhouse::insert_formatted::InsertFormatted;

use crate::connection::{Connection, query_id};
use crate::error::Failure;
use crate::lane::LaneId;
use crate::native::Block;
use crate::schema::CLAIMS;

/// Bytes sent at once, so that compression and sending take turns.
const CHUNK_BYTES: usize = 1 << 20;

/// After this the server gives a silent writer up, seconds.
const RECEIVE_TIMEOUT: &str = "10";

/// Lets an insert happen only while the partition belongs to the epoch.
#[derive(Debug)]
pub struct Fence<'e> {
    pub lane: LaneId,
    pub epoch: &'e str,
}

/// Inserts a block if the fence holds. The token, unique within the epoch, keeps a request that a proxy repeats from
/// counting twice.
///
/// # Errors
/// [`Failure::is_fenced`] when the partition has another owner; nothing was inserted then.
pub async fn fenced(
    server: &Connection,
    table: &str,
    block: Block,
    fence: &Fence<'_>,
    token: &str,
) -> Result<(), Failure> {
    let names: Vec<_> = block.columns().iter().map(|(name, _)| *name).collect();
    let kinds: Vec<_> = block.columns().iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    let (names, kinds) = (names.join(", "), kinds.join(", "));
    let sql = format!(
        "INSERT INTO {table} ({names}) SELECT {names} FROM input('{kinds}') \
         WHERE throwIf((SELECT argMax(Epoch, _block_number) FROM {CLAIMS} WHERE {}) != '{}', 'fenced') = 0 \
         FORMAT Native",
        fence.lane.condition(),
        fence.epoch
    );
    let token = format!("{}-{token}", fence.epoch);
    send(server, sql, block, &query_id(fence.epoch), Some(&token)).await
}

/// Inserts a block whatever others do.
pub async fn plain(server: &Connection, table: &str, block: Block) -> Result<(), Failure> {
    let names: Vec<_> = block.columns().iter().map(|(name, _)| *name).collect();
    let sql = format!("INSERT INTO {table} ({}) FORMAT Native", names.join(", "));
    send(server, sql, block, &query_id("small"), None).await
}

async fn send(
    server: &Connection,
    sql: String,
    block: Block,
    query_id: &str,
    token: Option<&str>,
) -> Result<(), Failure> {
    let seconds = server.timeout().as_secs().max(1).to_string();
    let mut insert = server
        .client()
        .insert_formatted_with(sql)
        .with_setting("query_id", query_id)
        .with_setting("async_insert", "0")
        .with_setting("max_execution_time", seconds)
        .with_setting("max_insert_threads", "1")
        .with_setting("http_receive_timeout", RECEIVE_TIMEOUT);
    if let Some(token) = token {
        insert = insert.with_setting("insert_deduplication_token", token);
    }
    server.within(send_all(insert, block.finish())).await
}

async fn send_all(mut insert: InsertFormatted, parts: [Bytes; 2]) -> Result<(), clickhouse::error::Error> {
    for mut part in parts {
        while !part.is_empty() {
            let chunk = part.split_to(part.len().min(CHUNK_BYTES));
            insert.send(chunk).await?;
        }
    }
    insert.end().await
}
