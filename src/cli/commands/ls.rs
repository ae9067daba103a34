//! `ls`: runs, the newest first.

use serde_json::value::RawValue;

use super::context::Context;
use crate::cli::args::{Filters, LsOptions};
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::{RunView, read};
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::clock::UnixMs;
use crate::text::printable_json;
use crate::wire::RunsPage;

/// What a page has at most; the daemon cuts it short where the runs are long.
const PAGE_RUNS_MAX: u32 = 500;

/// Prints them as a table or as one array.
pub async fn ls(context: &Context, options: LsOptions) -> Result<u8, Failure> {
    let runs = pages(context, &options).await?;
    if context.json {
        let lines: Vec<String> = runs.iter().map(|run| printable_json(run.get())).collect();
        print::answer(&format!("[{}]", lines.join(",\n ")))?;
        return Ok(0);
    }
    let runs: Result<Vec<RunView>, Failure> = runs.iter().map(|run| read(run.get().as_bytes())).collect();
    print::answer(&table(&runs?, UnixMs::now()).show(Paint::new()))?;
    Ok(0)
}

async fn pages(context: &Context, options: &LsOptions) -> Result<Vec<Box<RawValue>>, Failure> {
    let mut runs = Vec::new();
    let mut next = Some(first_page(options));
    let limit = options.limit as usize;
    while let Some(path) = next.take().filter(|_| runs.len() < limit) {
        let body = context.daemon.ask(&Ask::get(path.clone())).await?;
        let page: RunsPage = read(&body)?;
        // A page that names itself would never end.
        next = page.next.filter(|next| *next != path);
        runs.extend(page.runs);
    }
    runs.truncate(limit);
    Ok(runs)
}

fn first_page(options: &LsOptions) -> String {
    format!("/v1/runs?limit={}{}", options.limit.min(PAGE_RUNS_MAX), query(&options.filters))
}

/// The filters as the rest of a query.
pub(super) fn query(filters: &Filters) -> String {
    let Filters { status, queue, tag, name, job, find, since, until, exit } = filters;
    let all = [
        ("status", status),
        ("queue", queue),
        ("tag", tag),
        ("name", name),
        ("job", job),
        ("q", find),
        ("since", since),
        ("until", until),
        ("exit", exit),
    ];
    all.iter().filter_map(|(name, value)| Some(format!("&{name}={}", encoded(value.as_ref()?)))).collect()
}

fn table(runs: &[RunView], now: UnixMs) -> Table {
    let mut table = Table::new(&[">ID", "STATUS", "QUEUE", ">AGE", ">TOOK", "NAME", "COMMAND"]);
    for run in runs {
        let took = run.took(now).unwrap_or_default();
        table.row([
            (&run.id.to_string(), Colour::Plain),
            (&run.standing(), run.colour()),
            (&run.queue, Colour::Plain),
            (&run.age(now), Colour::Dim),
            (&took, Colour::Plain),
            (run.name.as_deref().unwrap_or("-"), Colour::Plain),
            (&run.what(), Colour::Plain),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_into_the_query() {
        let filters = Filters {
            status: Some("failed,timed_out".to_owned()),
            tag: Some("a&b".to_owned()),
            find: Some("x y".to_owned()),
            ..Filters::default()
        };
        let options = LsOptions { filters, limit: 1_000 };
        assert_eq!(first_page(&options), "/v1/runs?limit=500&status=failed,timed_out&tag=a%26b&q=x%20y");
    }
}
