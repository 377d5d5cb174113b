//! Sign-in and sessions.
//!
//! A session is an opaque random token in a cookie; the database has its hash. The token that guards against forged
//! requests is derived from it, so that it needs no storage and ends with the session.

use std::fmt;
use std::time::{Duration, Instant};

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
        let row: Option<UserRow> = sqlx::query_as("SELECT password_hash, admin FROM users WHERE name = ?")
            .bind(user)
            .fetch_optional(self.readers())
            .await?;
        let admin = row.as_ref().is_some_and(|row| row.admin);
        if !self.inner.passwords.verify(password, row.map(|row| row.password_hash)).await? {
            return Err(MetadataError::WrongPassword);
        }
        self.inner.throttle.clear(user, from);
        self.begin_session(user, admin).await
    }

    async fn begin_session(&self, user: &str, admin: bool) -> Result<NewSession, MetadataError> {
        let token = secret::random_hex::<32>()?;
        let created_at = now();
        let expires_at = created_at.saturating_add(SESSION_LIFETIME.as_nanos() as i64);
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= ?").bind(created_at).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO sessions (token_hash, user, created_at, expires_at) VALUES (?, ?, ?, ?)")
            .bind(secret::hash(&token).as_slice())
            .bind(user)
            .bind(created_at)
            .bind(expires_at)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "DELETE FROM sessions WHERE token_hash IN
             (SELECT token_hash FROM sessions WHERE user = ? ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        )
        .bind(user)
        .bind(SESSIONS_MAX)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let session = Session { user: user.to_owned(), admin, csrf_token: csrf_token(&token), expires_at };
        Ok(NewSession { token, session })
    }

    /// The session of a cookie's token; None if it ended or never was.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, MetadataError> {
        let row: Option<(String, bool, i64)> = sqlx::query_as(
            "SELECT users.name, users.admin, sessions.expires_at FROM sessions JOIN users ON users.name = sessions.user
             WHERE token_hash = ? AND expires_at > ?",
        )
        .bind(secret::hash(token).as_slice())
        .bind(now())
        .fetch_optional(self.readers())
        .await?;
        Ok(row.map(|(user, admin, expires_at)| Session { user, admin, csrf_token: csrf_token(token), expires_at }))
    }

    /// Ends a session; ending one that is no more is fine.
    pub async fn sign_out(&self, token: &str) -> Result<(), MetadataError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM sessions WHERE token_hash = ?")
            .bind(secret::hash(token).as_slice())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

fn csrf_token(token: &str) -> String {
    hex::encode(secret::hash(&format!("csrf {token}")))
}
