//! Where a job is asked for, and all jobs of a daemon.

use serde::Deserialize;

use crate::cli::commands::context::Context;
use crate::cli::view::read;
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::wire::JobBody;

/// Jobs that one page of the list has.
const PAGE: usize = 1_000;

/// The path of a job.
pub(super) fn path_of(name: &str) -> String {
    format!("/v1/jobs/{}", encoded(name))
}

#[derive(Deserialize)]
struct Page {
    jobs: Vec<JobBody<'static>>,
    next: Option<String>,
}

/// Every job, page by page.
pub(super) async fn all_jobs(context: &Context) -> Result<Vec<JobBody<'static>>, Failure> {
    let (mut jobs, mut next) = (Vec::new(), Some(format!("/v1/jobs?limit={PAGE}")));
    while let Some(path) = next {
        let page: Page = read(&context.daemon.ask(&Ask::get(path)).await?)?;
        let is_empty = page.jobs.is_empty();
        jobs.extend(page.jobs);
        // A page without jobs that names a next one would be read for ever.
        next = page.next.filter(|_| !is_empty);
    }
    Ok(jobs)
}
