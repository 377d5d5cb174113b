//! What keys and records belong to.

use serde::Serialize;

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
        let made = sqlx::query("INSERT INTO projects (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&project.name)
            .bind(project.created_at)
            .execute(&mut *transaction)
            .await?;
        if made.rows_affected() == 0 {
            return Err(MetadataError::Exists(format!("there already is a project `{name}`")));
        }
        transaction.commit().await?;
        Ok(project)
    }

    /// All projects by name.
    pub async fn projects(&self) -> Result<Vec<Project>, MetadataError> {
        Ok(sqlx::query_as("SELECT name, created_at FROM projects ORDER BY name").fetch_all(self.readers()).await?)
    }

    pub async fn project(&self, name: &str) -> Result<Option<Project>, MetadataError> {
        Ok(sqlx::query_as("SELECT name, created_at FROM projects WHERE name = ?")
            .bind(name)
            .fetch_optional(self.readers())
            .await?)
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
