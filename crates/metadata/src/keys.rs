//! API keys: `dl_<prefix>_<secret>`. The prefix is public and finds the key, the secret is 256 random bits.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::database::{Write, clean, on};
use crate::known_keys::{ANSWER_MAX, KnownKey};
use crate::{Metadata, MetadataError, now, secret};

/// `last_used_at` is written at most this often for a key, in nanoseconds.
const LAST_USED_GRAIN: i64 = 60_000_000_000;
const NAME_CHARS_MAX: usize = 200;

/// What a key may do. None implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Ingest,
    Query,
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::Query, Scope::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Query => "query",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = MetadataError;

    fn from_str(text: &str) -> Result<Self, MetadataError> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| {
            MetadataError::Invalid(format!("`{text}` is no scope; scopes are `ingest`, `query` and `admin`"))
        })
    }
}

/// A set of scopes. Serialized as a list.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    pub const ALL: Scopes = Scopes(0b111);

    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | (1 << scope as u8)))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// Who a valid key speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub key_id: Arc<str>,
    pub project: Arc<str>,
    pub scopes: Scopes,
    /// False while the database is out of reach: the key was good when it was last read, within the grace.
    pub confirmed: bool,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub name: String,
    pub project: String,
    pub scopes: Scopes,
    pub expires_at: Option<i64>,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    pub id: String,
    pub name: String,
    pub project: String,
    pub scopes: Scopes,
    /// The public part, to tell keys apart.
    pub prefix: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    /// Within a minute.
    pub last_used_at: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    prefix: String,
    hash: Vec<u8>,
    name: String,
    project: String,
    scopes: i64,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl Metadata {
    /// Whom a key speaks for; None if it is none, revoked or expired.
    ///
    /// # Errors
    /// The database does not answer, and the key was not read within the grace.
    pub async fn authenticate_key(&self, key: &str) -> Result<Option<Principal>, MetadataError> {
        let Some(prefix) = prefix_of(key) else { return Ok(None) };
        let Some(known) = self.known_key(prefix).await? else { return Ok(None) };
        let same = bool::from(known.hash.ct_eq(&secret::hash(key)));
        let alive = known.expires_at.is_none_or(|at| now() < at);
        Ok((same && alive).then_some(known.principal))
    }

    /// A key as it was read a moment ago or now, or else, while the database is out of reach, within the grace.
    async fn known_key(&self, prefix: &str) -> Result<Option<KnownKey>, MetadataError> {
        let known = &self.inner.known_keys;
        if let Some(key) = known.fresh(prefix).or_else(|| known.in_silence(prefix, self.key_grace)) {
            return Ok(Some(key));
        }
        let answer = tokio::time::timeout(ANSWER_MAX, self.read_key(prefix)).await;
        match answer.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut.into())) {
            Err(error) if error.is_out_of_reach() => {
                known.silence_begins(&error);
                known.in_silence(prefix, self.key_grace).map(Some).ok_or(error)
            }
            read => read,
        }
    }

    async fn read_key(&self, prefix: &str) -> Result<Option<KnownKey>, MetadataError> {
        let read = Instant::now();
        const BY_PREFIX: &str = "SELECT * FROM keys WHERE prefix = $1";
        let row: Option<KeyRow> =
            on!(self.readers(), pool => sqlx::query_as(BY_PREFIX).bind(clean(prefix)).fetch_optional(pool).await)?;
        self.inner.known_keys.silence_ends();
        let Some(row) = row else {
            self.inner.known_keys.forget(prefix);
            return Ok(None);
        };
        let Ok(hash) = row.hash.as_slice().try_into() else { return Ok(None) };
        let (key_id, scopes) = (row.id.as_str().into(), Scopes(row.scopes as u8));
        let principal = Principal { key_id, project: row.project.into(), scopes, confirmed: true };
        let key = KnownKey { hash, principal, expires_at: row.expires_at, read };
        self.inner.known_keys.put(prefix, key.clone(), self.key_grace);
        let at = now();
        if row.last_used_at.is_none_or(|last| at.saturating_sub(last) >= LAST_USED_GRAIN) {
            let metadata = self.clone();
            // Apart, so that no request waits for the writer.
            tokio::spawn(async move {
                if let Err(error) = metadata.mark_used(&row.id, at).await {
                    tracing::warn!(%error, key_id = row.id, "when a key was last used can't be written");
                }
            });
        }
        Ok(Some(key))
    }

    async fn mark_used(&self, id: &str, at: i64) -> Result<(), MetadataError> {
        const MARK: &str =
            "UPDATE keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
        on!(self.inner.database.writer(), pool => sqlx::query(MARK).bind(at).bind(id).execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Makes a key. Its text is answered this once and never again.
    ///
    /// # Errors
    /// [`MetadataError::Invalid`] for no name, no scope, an expiry in the past or an unknown project.
    pub async fn create_key(&self, key: &NewKey) -> Result<(KeyInfo, String), MetadataError> {
        let length = key.name.trim().chars().count();
        if length == 0 || length > NAME_CHARS_MAX {
            return Err(MetadataError::Invalid(format!("a key's name is 1 to {NAME_CHARS_MAX} characters")));
        }
        if key.scopes.is_empty() {
            return Err(MetadataError::Invalid("a key needs at least one of the scopes ingest, query, admin".into()));
        }
        if key.expires_at.is_some_and(|at| at <= now()) {
            return Err(MetadataError::Invalid("`expires_at` is in the past".into()));
        }
        let mut transaction = self.write().await?;
        const PROJECTS: &str = "SELECT count(*) FROM projects WHERE name = $1";
        let projects: i64 = on!(&mut transaction, tx => {
            sqlx::query_scalar(PROJECTS).bind(clean(&key.project)).fetch_one(&mut **tx).await
        })?;
        if projects == 0 {
            return Err(MetadataError::Invalid(format!("there is no project `{}`; make it first", key.project)));
        }
        let made = insert(&mut transaction, key).await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// All keys by time of making; of one project if it is given.
    pub async fn keys(&self, project: Option<&str>) -> Result<Vec<KeyInfo>, MetadataError> {
        const ALL: &str = "SELECT * FROM keys WHERE $1 IS NULL OR project = $1 ORDER BY created_at, id";
        let rows: Vec<KeyRow> =
            on!(self.readers(), pool => sqlx::query_as(ALL).bind(project.map(clean)).fetch_all(pool).await)?;
        Ok(rows.into_iter().map(KeyInfo::from).collect())
    }

    /// Deletes a key; here it is refused at once, in other processes within two seconds. False if there is none.
    pub async fn revoke_key(&self, id: &str) -> Result<bool, MetadataError> {
        const DELETE: &str = "DELETE FROM keys WHERE id = $1 RETURNING prefix";
        let mut transaction = self.write().await?;
        let prefix: Option<String> = on!(&mut transaction, tx => {
            sqlx::query_scalar(DELETE).bind(clean(id)).fetch_optional(&mut **tx).await
        })?;
        transaction.commit().await?;
        if let Some(prefix) = &prefix {
            self.inner.known_keys.forget(prefix);
        }
        Ok(prefix.is_some())
    }
}

impl From<KeyRow> for KeyInfo {
    fn from(row: KeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            project: row.project,
            scopes: Scopes(row.scopes as u8),
            prefix: row.prefix,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// Stores a new key and gives its text.
pub(crate) async fn insert(transaction: &mut Write, key: &NewKey) -> Result<(KeyInfo, String), MetadataError> {
    let prefix = secret::random_hex::<6>()?;
    let text = format!("dl_{prefix}_{}", secret::random_hex::<32>()?);
    let info = KeyInfo {
        id: secret::random_hex::<8>()?,
        name: clean(key.name.trim()).into_owned(),
        project: key.project.clone(),
        scopes: key.scopes,
        prefix,
        created_at: now(),
        expires_at: key.expires_at,
        last_used_at: None,
    };
    const INSERT: &str = "INSERT INTO keys (id, prefix, hash, name, project, scopes, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let hash = secret::hash(&text);
    on!(transaction, tx => {
        let insert = sqlx::query(INSERT).bind(&info.id).bind(&info.prefix).bind(hash.as_slice()).bind(&info.name);
        let insert = insert.bind(&info.project).bind(i64::from(info.scopes.0));
        insert.bind(info.created_at).bind(info.expires_at).execute(&mut **tx).await.map(drop)
    })?;
    Ok((info, text))
}

fn prefix_of(key: &str) -> Option<&str> {
    let (prefix, secret) = key.strip_prefix("dl_")?.split_once('_')?;
    (prefix.len() == 12 && secret.len() == 64).then_some(prefix)
}
