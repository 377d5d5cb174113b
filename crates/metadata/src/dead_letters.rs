//! Records that could not be stored, kept until someone sends them again or drops them.

use std::fmt;
use std::sync::{Mutex, PoisonError};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDeadLetter {
    /// Without its payload if that is larger than [`LISTED_BYTES_MAX`].
    pub letter: DeadLetter,
    pub payload_bytes: u64,
}

/// Payloads up to this are part of a list.
pub const LISTED_BYTES_MAX: i64 = 16 << 10;

/// Letters that are kept at most, and the bytes of their payloads. More are refused with [`MetadataError::Full`], never
/// dropped. It is more than one message can have.
pub const LETTERS_MAX: u64 = 200_000;
pub const LETTER_BYTES_MAX: u64 = 1 << 30;

/// Letters, and the bytes of their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount {
    letters: u64,
    bytes: u64,
}

/// How many letters there may be, and what is known about how many there are.
#[derive(Debug)]
pub(crate) struct Room {
    max: Amount,
    /// At least what is there, so that letters are counted seldom: what was put since the last count is added, what was
    /// deleted is not taken off. None before the first count.
    used: Mutex<Option<Amount>>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(LETTERS_MAX, LETTER_BYTES_MAX)
    }
}

impl Room {
    pub(crate) fn of(letters: u64, bytes: u64) -> Self {
        Self { max: Amount { letters, bytes }, used: Mutex::default() }
    }

    fn has(&self, amount: Amount) -> bool {
        amount.letters <= self.max.letters && amount.bytes <= self.max.bytes
    }

    /// Adds letters; false if they must be counted to know whether they fit.
    fn add(&self, letters: &[DeadLetter]) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: u64 = letters.iter().map(|letter| letter.payload.len() as u64).sum();
        let sum = used
            .map(|used| Amount { letters: used.letters + letters.len() as u64, bytes: used.bytes + bytes })
            .filter(|sum| self.has(*sum));
        if sum.is_some() {
            *used = sum;
        }
        sum.is_some()
    }

    /// Takes note of a count with letters that are not committed yet.
    fn counted(&self, amount: Amount) -> Result<(), MetadataError> {
        if !self.has(amount) {
            let Amount { letters, bytes } = self.max;
            return Err(MetadataError::Full(format!(
                "there are as many dead letters as may be ({letters}, or {bytes} bytes); send some again or drop them"
            )));
        }
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(amount);
        Ok(())
    }
}

impl Metadata {
    /// Stores letters, all or none; they are durable when it returns. One that is there already is replaced.
    /// [`MetadataError::Full`] when there would be more than [`LETTERS_MAX`] or [`LETTER_BYTES_MAX`].
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
        let room = &self.inner.letters;
        if !room.add(letters) {
            let (letters, bytes): (i64, i64) =
                sqlx::query_as("SELECT count(*), coalesce(sum(length(payload)), 0) FROM dead_letters")
                    .fetch_one(&mut *transaction)
                    .await?;
            room.counted(Amount { letters: letters.unsigned_abs(), bytes: bytes.unsigned_abs() })?;
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
    ) -> Result<Vec<ListedDeadLetter>, MetadataError> {
        let (at, id) = after.map_or((i64::MAX, "~".to_owned()), |(at, id)| (at, id.to_string()));
        Ok(sqlx::query_as(
            "SELECT id, project, incarnation, partition, position, \"index\", reason, at, received,
                    length(payload) AS payload_bytes, CASE WHEN length(payload) <= ?5 THEN payload ELSE x'' END AS payload
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
        Ok(sqlx::query_as("SELECT * FROM dead_letters WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(self.readers())
            .await?)
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

impl<'r> FromRow<'r, SqliteRow> for DeadLetter {
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
            payload: row.try_get("payload")?,
        })
    }
}

impl<'r> FromRow<'r, SqliteRow> for ListedDeadLetter {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        let payload_bytes: i64 = row.try_get("payload_bytes")?;
        Ok(Self { letter: DeadLetter::from_row(row)?, payload_bytes: payload_bytes.unsigned_abs() })
    }
}

fn parsed<T: std::str::FromStr>(row: &SqliteRow, column: &'static str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.into(), source: Box::new(error) })
}
