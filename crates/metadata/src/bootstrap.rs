//! The first start: the admin user and the first keys.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

use crate::database::on;
use crate::keys::{self, NewKey, Scope};
use crate::projects::DEFAULT_PROJECT;
use crate::{Metadata, MetadataError, now, secret};

const ADMIN_USER: &str = "admin";

/// What the first start made, in clear; shown or written once, stored as hashes.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    pub admin_user: String,
    pub admin_password: String,
    pub admin_key: String,
    pub ingest_key: String,
    pub query_key: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("admin_user", &self.admin_user).finish_non_exhaustive()
    }
}

impl Metadata {
    /// [`Metadata::bootstrap_with`] for a caller that keeps the secrets itself.
    pub async fn bootstrap(&self) -> Result<Option<Secrets>, MetadataError> {
        self.bootstrap_with(|_| Ok(())).await
    }

    /// Makes the admin user and the keys of the default project if there is no user yet; None if there is. However
    /// many start at once, one makes them.
    ///
    /// `keep` runs before the commit: when it has written the secrets to a file and the process dies, the next start
    /// makes new ones and writes again, so that there is never a database whose secrets nobody has.
    pub async fn bootstrap_with(
        &self,
        keep: impl FnOnce(&Secrets) -> io::Result<()> + Send,
    ) -> Result<Option<Secrets>, MetadataError> {
        const ANY_USER: &str = "SELECT count(*) FROM users";
        let users: i64 = on!(self.readers(), pool => sqlx::query_scalar(ANY_USER).fetch_one(pool).await)?;
        if users > 0 {
            return Ok(None);
        }
        let admin_password = secret::random_hex::<12>()?;
        let password_hash = self.inner.passwords.hash(&admin_password).await?;
        let mut transaction = self.write().await?;
        let users: i64 = on!(&mut transaction, tx => sqlx::query_scalar(ANY_USER).fetch_one(&mut **tx).await)?;
        if users > 0 {
            return Ok(None);
        }
        const ADMIN: &str = "INSERT INTO users (name, password_hash, admin, created_at) VALUES ($1, $2, TRUE, $3)";
        on!(&mut transaction, tx => {
            let insert = sqlx::query(ADMIN).bind(ADMIN_USER).bind(password_hash).bind(now());
            insert.execute(&mut **tx).await.map(drop)
        })?;
        let mut made = Vec::new();
        for (name, scopes) in [
            ("admin", &[Scope::Ingest, Scope::Query, Scope::Admin][..]),
            ("ingest", &[Scope::Ingest]),
            ("query", &[Scope::Query]),
        ] {
            let key = NewKey {
                name: name.into(),
                project: DEFAULT_PROJECT.into(),
                scopes: scopes.iter().copied().collect(),
                expires_at: None,
            };
            made.push(keys::insert(&mut transaction, &key).await?.1);
        }
        let mut made = made.into_iter();
        let mut next = || made.next().unwrap_or_default();
        let secrets = Secrets {
            admin_user: ADMIN_USER.into(),
            admin_password,
            admin_key: next(),
            ingest_key: next(),
            query_key: next(),
        };
        keep(&secrets).map_err(MetadataError::KeepSecrets)?;
        transaction.commit().await?;
        Ok(Some(secrets))
    }
}
