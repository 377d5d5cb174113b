//! Sign-in and sessions.
//!
//! A session is an opaque random token in a cookie; the database has its hash. The token that guards against forged
//! requests is derived from it, so that it needs no storage and ends with the session.

use std::fmt;
use std::time::{Duration, Instant};

use crate::database::{clean, on};
use crate::{Metadata, MetadataError, now, secret};

/// How long a session lasts from sign-in.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Sessions of one user at once; the oldest gives way.
const SESSIONS_MAX: i64 = 50;
const PASSWORD_BYTES_MAX: usize = 1024;
const USER_BYTES_MAX: usize = 256;

/// A session just made.
pub struct NewSession {
    /// For the cookie; not stored.
    pub token: String,
    pub session: Session,
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A signed-in user.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub admin: bool,
    /// Must come in a header with every request that changes something.
    pub csrf_token: String,
    pub expires_at: i64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user).field("admin", &self.admin).finish_non_exhaustive()
    }
}

#[derive(sqlx::FromRow)]
struct UserRow {
    password_hash: String,
    admin: bool,
}

impl Metadata {
    /// Checks a password and begins a session. `from` is where the try comes from (an address), for throttling.
    ///
    /// # Errors
    /// [`MetadataError::WrongPassword`], also for an unknown user; [`MetadataError::TooManySignIns`].
    pub async fn sign_in(&self, user: &str, password: &str, from: &str) -> Result<NewSession, MetadataError> {
        if user.len() > USER_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
            return Err(MetadataError::WrongPassword);
        }
        self.inner
            .throttle
            .begin(user, from, Instant::now())
            .map_err(|retry_after| MetadataError::TooManySignIns { retry_after })?;
        const USER: &str = "SELECT password_hash, admin FROM users WHERE name = $1";
        let row: Option<UserRow> =
            on!(self.readers(), pool => sqlx::query_as(USER).bind(clean(user)).fetch_optional(pool).await)?;
        let admin = row.as_ref().is_some_and(|row| row.admin);
        if !self.inner.passwords.verify(password, row.map(|row| row.password_hash)).await? {
            return Err(MetadataError::WrongPassword);
        }
        self.inner.throttle.clear(user, from);
        self.begin_session(user, admin).await
    }

    pub(crate) async fn begin_session(&self, user: &str, admin: bool) -> Result<NewSession, MetadataError> {
        let token = secret::random_hex::<32>()?;
        let created_at = now();
        let expires_at = created_at.saturating_add(SESSION_LIFETIME.as_nanos() as i64);
        const SWEEP: &str = "DELETE FROM sessions WHERE expires_at <= $1";
        const INSERT: &str =
            "INSERT INTO sessions (token_hash, \"user\", created_at, expires_at) VALUES ($1, $2, $3, $4)";
        const BOUND: &str = "DELETE FROM sessions WHERE \"user\" = $1 AND token_hash NOT IN
            (SELECT token_hash FROM sessions WHERE \"user\" = $1 ORDER BY created_at DESC, token_hash LIMIT $2)";
        let mut transaction = self.write().await?;
        on!(&mut transaction, tx => {
            sqlx::query(SWEEP).bind(created_at).execute(&mut **tx).await?;
            let hash = secret::hash(&token);
            let insert = sqlx::query(INSERT).bind(hash.as_slice()).bind(user).bind(created_at).bind(expires_at);
            insert.execute(&mut **tx).await?;
            sqlx::query(BOUND).bind(user).bind(SESSIONS_MAX).execute(&mut **tx).await?;
        });
        transaction.commit().await?;
        let session = Session { user: user.to_owned(), admin, csrf_token: csrf_token(&token), expires_at };
        Ok(NewSession { token, session })
    }

    /// The session of a cookie's token; None if it ended or never was.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, MetadataError> {
        const SESSION: &str = "SELECT users.name, users.admin, sessions.expires_at
            FROM sessions JOIN users ON users.name = sessions.\"user\" WHERE token_hash = $1 AND expires_at > $2";
        let row: Option<(String, bool, i64)> = on!(self.readers(), pool => {
            let hash = secret::hash(token);
            sqlx::query_as(SESSION).bind(hash.as_slice()).bind(now()).fetch_optional(pool).await
        })?;
        Ok(row.map(|(user, admin, expires_at)| Session { user, admin, csrf_token: csrf_token(token), expires_at }))
    }

    /// Ends a session; ending one that is no more is fine.
    pub async fn sign_out(&self, token: &str) -> Result<(), MetadataError> {
        const DELETE: &str = "DELETE FROM sessions WHERE token_hash = $1";
        let hash = secret::hash(token);
        on!(self.inner.database.writer(), pool => {
            sqlx::query(DELETE).bind(hash.as_slice()).execute(pool).await.map(drop)
        })?;
        Ok(())
    }
}

fn csrf_token(token: &str) -> String {
    hex::encode(secret::hash(&format!("csrf {token}")))
}
