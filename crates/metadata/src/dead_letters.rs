//! Records that could not be stored, kept until someone sends them again or drops them.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::RecordId;
use model::position::{Incarnation, Partition, Position};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

use crate::database::{Write, clean, on};
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

const SHARED_COUNT_HOLDS: Duration = Duration::from_secs(10);

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
    used: Mutex<Option<Used>>,
    /// How long a count holds; other nodes put letters too.
    holds: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    amount: Amount,
    counted: Instant,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(LETTERS_MAX, LETTER_BYTES_MAX)
    }
}

impl Room {
    pub(crate) fn of(letters: u64, bytes: u64) -> Self {
        Self { max: Amount { letters, bytes }, used: Mutex::default(), holds: None }
    }

    /// Of a database that other nodes write to: they may exceed the bound by what they put between two counts.
    pub(crate) fn shared(self) -> Self {
        Self { holds: Some(SHARED_COUNT_HOLDS), ..self }
    }

    fn has(&self, amount: Amount) -> bool {
        amount.letters <= self.max.letters && amount.bytes <= self.max.bytes
    }

    /// Adds letters; false if they must be counted to know whether they fit.
    fn add(&self, letters: &[DeadLetter]) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: u64 = letters.iter().map(|letter| letter.payload.len() as u64).sum();
        let Some(used) = used.as_mut() else { return false };
        let Amount { letters: before, bytes: bytes_before } = used.amount;
        let sum = Amount { letters: before + letters.len() as u64, bytes: bytes_before + bytes };
        let fits = self.has(sum) && self.holds.is_none_or(|holds| used.counted.elapsed() < holds);
        if fits {
            used.amount = sum;
        }
        fits
    }

    /// Takes note of a count with letters that are not committed yet.
    fn counted(&self, amount: Amount) -> Result<(), MetadataError> {
        if !self.has(amount) {
            let Amount { letters, bytes } = self.max;
            return Err(MetadataError::Full(format!(
                "there are as many dead letters as may be ({letters}, or {bytes} bytes); send some again or drop them"
            )));
        }
        let used = Used { amount, counted: Instant::now() };
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Some(used);
        Ok(())
    }
}

impl Metadata {
    /// Stores letters, all or none; they are durable when it returns. One that is there already is replaced.
    /// [`MetadataError::Full`] when there would be more than [`LETTERS_MAX`] or [`LETTER_BYTES_MAX`].
    pub async fn put_dead_letters(&self, letters: &[DeadLetter]) -> Result<(), MetadataError> {
        let mut transaction = self.write().await?;
        for letter in letters {
            put(&mut transaction, letter).await?;
        }
        let room = &self.inner.letters;
        if !room.add(letters) {
            const AMOUNT: &str = "SELECT count(*), CAST(coalesce(sum(length(payload)), 0) AS BIGINT) FROM dead_letters";
            let (letters, bytes): (i64, i64) =
                on!(&mut transaction, tx => sqlx::query_as(AMOUNT).fetch_one(&mut **tx).await)?;
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
        const PAGE: &str = "SELECT id, project, incarnation, partition, position, \"index\", reason, at, received,
                    CAST(length(payload) AS BIGINT) AS payload_bytes,
                    CASE WHEN length(payload) <= $5 THEN payload END AS payload
             FROM dead_letters WHERE ($1 IS NULL OR project = $1) AND (at, id) < ($2, $3)
             ORDER BY at DESC, id DESC LIMIT $4";
        Ok(on!(self.readers(), pool => {
            let page = sqlx::query_as(PAGE).bind(project.map(clean)).bind(at).bind(id).bind(i64::from(limit));
            page.bind(LISTED_BYTES_MAX).fetch_all(pool).await
        })?)
    }

    pub async fn count_dead_letters(&self, project: Option<&str>) -> Result<u64, MetadataError> {
        const COUNT: &str = "SELECT count(*) FROM dead_letters WHERE $1 IS NULL OR project = $1";
        let count: i64 =
            on!(self.readers(), pool => sqlx::query_scalar(COUNT).bind(project.map(clean)).fetch_one(pool).await)?;
        Ok(count.unsigned_abs())
    }

    pub async fn dead_letter(&self, id: RecordId) -> Result<Option<DeadLetter>, MetadataError> {
        const ONE: &str = "SELECT * FROM dead_letters WHERE id = $1";
        Ok(on!(self.readers(), pool => sqlx::query_as(ONE).bind(id.to_string()).fetch_optional(pool).await)?)
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
        const DELETE: &str =
            "DELETE FROM dead_letters WHERE id = $1 AND incarnation = $2 AND partition = $3 AND position = $4";
        let deleted = on!(self.inner.database.writer(), pool => {
            let delete = sqlx::query(DELETE).bind(id.to_string()).bind(incarnation.to_string());
            let delete = delete.bind(i64::from(partition.0)).bind(position.0 as i64);
            delete.execute(pool).await.map(|done| done.rows_affected())
        })?;
        Ok(deleted > 0)
    }

    /// The letters of a partition's messages at `from` and after.
    pub async fn dead_letters_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<Vec<RecordId>, MetadataError> {
        const IDS: &str = "SELECT id FROM dead_letters WHERE incarnation = $1 AND partition = $2 AND position >= $3";
        let ids: Vec<String> = on!(self.readers(), pool => {
            let ids = sqlx::query_scalar(IDS).bind(incarnation.to_string()).bind(i64::from(partition.0));
            ids.bind(from.0 as i64).fetch_all(pool).await
        })?;
        Ok(ids.iter().map(|id| parsed(id, "id")).collect::<Result<_, sqlx::Error>>()?)
    }

    /// Deletes the letters of a partition's messages at `from` and after.
    pub async fn delete_dead_letters_from(
        &self,
        incarnation: Incarnation,
        partition: Partition,
        from: Position,
    ) -> Result<u64, MetadataError> {
        const DELETE: &str = "DELETE FROM dead_letters WHERE incarnation = $1 AND partition = $2 AND position >= $3";
        Ok(on!(self.inner.database.writer(), pool => {
            let delete = sqlx::query(DELETE).bind(incarnation.to_string()).bind(i64::from(partition.0));
            delete.bind(from.0 as i64).execute(pool).await.map(|done| done.rows_affected())
        })?)
    }
}

async fn put(transaction: &mut Write, letter: &DeadLetter) -> Result<(), sqlx::Error> {
    const PUT: &str = "INSERT INTO dead_letters
        (id, project, incarnation, partition, position, \"index\", reason, at, received, payload)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO UPDATE SET project = excluded.project, incarnation = excluded.incarnation,
            partition = excluded.partition, position = excluded.position, \"index\" = excluded.\"index\",
            reason = excluded.reason, at = excluded.at, received = excluded.received, payload = excluded.payload";
    on!(transaction, tx => {
        let put = sqlx::query(PUT).bind(letter.id.to_string()).bind(clean(&letter.project));
        let put = put.bind(letter.incarnation.to_string()).bind(i64::from(letter.partition.0));
        let put = put.bind(letter.position.0 as i64).bind(i64::from(letter.index)).bind(clean(&letter.reason));
        let put = put.bind(letter.at).bind(letter.received).bind(letter.payload.as_slice());
        put.execute(&mut **tx).await.map(drop)
    })
}

impl<'r, R: Row> FromRow<'r, R> for DeadLetter
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<Vec<u8>>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let number = |column: &'static str| row.try_get::<i64, _>(column);
        Ok(Self {
            id: parsed(&row.try_get::<String, _>("id")?, "id")?,
            project: row.try_get("project")?,
            incarnation: parsed(&row.try_get::<String, _>("incarnation")?, "incarnation")?,
            partition: Partition(narrow(number("partition")?, "partition")?),
            position: Position(number("position")? as u64),
            index: narrow(number("index")?, "index")?,
            reason: row.try_get("reason")?,
            at: number("at")?,
            received: number("received")?,
            payload: row.try_get::<Option<Vec<u8>>, _>("payload")?.unwrap_or_default(),
        })
    }
}

impl<'r, R: Row> FromRow<'r, R> for ListedDeadLetter
where
    DeadLetter: FromRow<'r, R>,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let payload_bytes: i64 = row.try_get("payload_bytes")?;
        Ok(Self { letter: DeadLetter::from_row(row)?, payload_bytes: payload_bytes.unsigned_abs() })
    }
}

fn parsed<T: FromStr>(text: &str, column: &'static str) -> Result<T, sqlx::Error>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| undecodable(column, error))
}

fn narrow(number: i64, column: &'static str) -> Result<u32, sqlx::Error> {
    u32::try_from(number).map_err(|error| undecodable(column, error))
}

fn undecodable(column: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.into(), source: Box::new(error) }
}
