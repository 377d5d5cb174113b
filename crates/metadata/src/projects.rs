//! What keys and records belong to.

use serde::Serialize;

use crate::database::{clean, on};
use crate::{Metadata, MetadataError, now};

/// The project that every database has from the start.
pub const DEFAULT_PROJECT: &str = "default";

const NAME_CHARS_MAX: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Project {
    pub name: String,
    pub created_at: i64,
}

impl Metadata {
    /// # Errors
    /// [`MetadataError::Invalid`] for a name against the rules, [`MetadataError::Exists`] for one that is taken.
    pub async fn create_project(&self, name: &str) -> Result<Project, MetadataError> {
        check_name(name)?;
        let project = Project { name: name.to_owned(), created_at: now() };
        let mut transaction = self.write().await?;
        const INSERT: &str = "INSERT INTO projects (name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        let made = on!(&mut transaction, tx => {
            let insert = sqlx::query(INSERT).bind(&project.name).bind(project.created_at);
            insert.execute(&mut **tx).await.map(|done| done.rows_affected())
        })?;
        if made == 0 {
            return Err(MetadataError::Exists(format!("there already is a project `{name}`")));
        }
        transaction.commit().await?;
        Ok(project)
    }

    /// All projects by name.
    pub async fn projects(&self) -> Result<Vec<Project>, MetadataError> {
        const ALL: &str = "SELECT name, created_at FROM projects ORDER BY name";
        Ok(on!(self.readers(), pool => sqlx::query_as(ALL).fetch_all(pool).await)?)
    }

    pub async fn project(&self, name: &str) -> Result<Option<Project>, MetadataError> {
        const ONE: &str = "SELECT name, created_at FROM projects WHERE name = $1";
        Ok(on!(self.readers(), pool => sqlx::query_as(ONE).bind(clean(name)).fetch_optional(pool).await)?)
    }
}

fn check_name(name: &str) -> Result<(), MetadataError> {
    let begins_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let chars_well = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if begins_well && chars_well && name.len() <= NAME_CHARS_MAX {
        return Ok(());
    }
    Err(MetadataError::Invalid(format!(
        "a project's name is 1 to {NAME_CHARS_MAX} of a-z, 0-9, `-`, `_` and `.`, and begins with a letter or digit"
    )))
}
