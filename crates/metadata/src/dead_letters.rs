//! Records that could not be stored, kept until someone sends them again or drops them.

use std::fmt;

use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use crate::{Metadata, MetadataError};

/// A record, or a message that could not be decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Kept through any retry; the key of the table, so that putting it again changes nothing.
    pub id: RecordId,
    pub project: String,
    /// Where its message stands in the queue.
    pub incarnation: Incarnation,
    pub partition: Partition,
    pub position: Position,
    /// Of the record in its message, from 0.
    pub index: u32,
    pub reason: String,
    /// When it was given up, nanoseconds since the Unix epoch.
    pub at: i64,
    /// When its message was received.
    pub received: i64,
    /// An OTLP `ExportLogsServiceRequest` with the one record, or the bytes of a message that could not be decoded.
    pub payload: Vec<u8>,
}

impl fmt::Debug for DeadLetter {
    /// Without the payload: that is a user's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetter")
            .field("id", &self.id)
            .field("project", &self.project)
            .field("reason", &self.reason)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// A dead letter in a list.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetterSummary {
    pub id: RecordId,
    pub project: String,
    pub incarnation: Incarnation,
    pub partition: Partition,
    pub position: Position,
    pub index: u32,
    pub reason: String,
    pub at: i64,
    pub received: i64,
    pub payload_bytes: u64,
    /// None if it is larger than [`LISTED_BYTES_MAX`].
    pub payload: Option<Vec<u8>>,
}

/// Payloads up to this are part of a list.
pub const LISTED_BYTES_MAX: i64 = 16 << 10;

impl fmt::Debug for DeadLetterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterSummary")
            .field("id", &self.id)
            .field("project", &self.project)
            .field("reason", &self.reason)
            .field("payload_bytes", &self.payload_bytes)
            .finish_non_exhaustive()
    }
}

impl Metadata {
    /// Stores letters, all or none; they are durable when it returns. One that is there already is replaced.
    pub async fn put_dead_letters(&self, letters: &[DeadLetter]) -> Result<(), MetadataError> {
        let mut transaction = self.write().await?;
        for letter in letters {
            sqlx::query(
                "INSERT OR REPLACE INTO dead_letters
                 (id, project, incarnation, partition, position, \"index\", reason, at, received, payload)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(letter.id.to_string())
            .bind(&letter.project)
            .bind(letter.incarnation.to_string())
            .bind(letter.partition.0)
            .bind(letter.position.0 as i64)
            .bind(letter.index)
            .bind(&letter.reason)
            .bind(letter.at)
            .bind(letter.received)
            .bind(&letter.payload)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A page of letters, the latest first, of one project if it is given; `after` is the last of the page before.
    pub async fn dead_letters(
        &self,
        project: Option<&str>,
        after: Option<(i64, RecordId)>,
        limit: u32,
    ) -> Result<Vec<DeadLetterSummary>, MetadataError> {
        let (at, id) = after.map_or((i64::MAX, "~".to_owned()), |(at, id)| (at, id.to_string()));
        Ok(sqlx::query_as(
            "SELECT id, project, incarnation, partition, position, \"index\", reason, at, received,
                    length(payload) AS payload_bytes, CASE WHEN length(payload) <= ?5 THEN payload END AS payload
             FROM dead_letters WHERE (?1 IS NULL OR project = ?1) AND (at, id) < (?2, ?3)
             ORDER BY at DESC, id DESC LIMIT ?4",
        )
        .bind(project)
        .bind(at)
        .bind(id)
        .bind(limit)
        .bind(LISTED_BYTES_MAX)
        .fetch_all(self.readers())
        .await?)
    }

    pub async fn count_dead_letters(&self, project: Option<&str>) -> Result<u64, MetadataError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE ?1 IS NULL OR project = ?1")
            .bind(project)
            .fetch_one(self.readers())
            .await?;
        Ok(count.unsigned_abs())
    }

    pub async fn dead_letter(&self, id: RecordId) -> Result<Option<DeadLetter>, MetadataError> {
        let row = sqlx::query("SELECT * FROM dead_letters WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(|row| letter(&row)).transpose()?)
    }

    /// Deletes a letter if it is still the one that came from that position: a letter that was sent again and failed
    /// again has a new one, and must stay. False if there was none.
    pub async fn delete_dead_letter(
        &self,
        id: RecordId,
        incarnation: Incarnation,
        partition: Partition,
        position: Position,
    ) -> Result<bool, MetadataError> {
        let mut transaction = self.write().await?;
        let deleted =
            sqlx::query("DELETE FROM dead_letters WHERE id = ? AND incarnation = ? AND partition = ? AND position = ?")
                .bind(id.to_string())
                .bind(incarnation.to_string())
                .bind(partition.0)
                .bind(position.0 as i64)
                .execute(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }
}

impl<'r> FromRow<'r, SqliteRow> for DeadLetterSummary {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: parsed(row, "id")?,
            project: row.try_get("project")?,
            incarnation: parsed(row, "incarnation")?,
            partition: Partition(row.try_get("partition")?),
            position: Position(row.try_get::<i64, _>("position")? as u64),
            index: row.try_get("index")?,
            reason: row.try_get("reason")?,
            at: row.try_get("at")?,
            received: row.try_get("received")?,
            payload_bytes: row.try_get::<i64, _>("payload_bytes")?.unsigned_abs(),
            payload: row.try_get("payload")?,
        })
    }
}

fn letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    Ok(DeadLetter {
        id: parsed(row, "id")?,
        project: row.try_get("project")?,
        incarnation: parsed(row, "incarnation")?,
        partition: Partition(row.try_get("partition")?),
        position: Position(row.try_get::<i64, _>("position")? as u64),
        index: row.try_get("index")?,
        reason: row.try_get("reason")?,
        at: row.try_get("at")?,
        received: row.try_get("received")?,
        payload: row.try_get("payload")?,
    })
}

fn parsed<T: std::str::FromStr>(row: &SqliteRow, column: &'static str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.into(), source: Box::new(error) })
}
