//! Projects: what keys and records belong to.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use metadata::Project;
use model::time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::admin::metadata_error;
use crate::auth::Scope;
use crate::error::{ApiError, Problem};
use crate::query::caller::{Operator, Reader};
use crate::query::{ApiState, Params};

#[derive(Debug, Deserialize, IntoParams, ToSchema)]
pub struct NewProject {
    /// 1 to 63 of a-z, 0-9, `-`, `_` and `.`, beginning with a letter or digit.
    pub name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectsAnswer {
    pub projects: Vec<ProjectBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectBody {
    pub name: String,
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<Project> for ProjectBody {
    fn from(project: Project) -> Self {
        Self { name: project.name, created_at: time::format(project.created_at) }
    }
}

/// All projects for an admin, the caller's own for others
#[utoipa::path(get, path = "/api/v1/projects", operation_id = "list_projects", tag = "admin",
    responses((status = 200, body = ProjectsAnswer), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(
    State(state): State<ApiState>,
    Reader(caller): Reader,
) -> Result<Json<ProjectsAnswer>, ApiError> {
    let mut projects = state.metadata.projects().await.map_err(metadata_error)?;
    if !caller.scopes.contains(Scope::Admin) {
        projects.retain(|project| project.name == *caller.project);
    }
    Ok(Json(ProjectsAnswer { projects: projects.into_iter().map(ProjectBody::from).collect() }))
}

/// Makes a project
#[utoipa::path(post, path = "/api/v1/projects", operation_id = "create_project", tag = "admin", request_body = NewProject,
    responses((status = 201, body = ProjectBody), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create(
    State(state): State<ApiState>,
    _: Operator,
    params: Params<NewProject>,
) -> Result<Response, ApiError> {
    let name = params.text("name")?.ok_or_else(|| ApiError::malformed("`name` is missing"))?;
    let project = state.metadata.create_project(&name).await.map_err(metadata_error)?;
    Ok((StatusCode::CREATED, Json(ProjectBody::from(project))).into_response())
}
