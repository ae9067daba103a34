//! `search`: lines of output that have a text.

use serde_json::value::RawValue;

use super::context::Context;
use super::ls::query;
use crate::cli::args::SearchOptions;
use crate::cli::print;
use crate::cli::view::read;
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::text::{printable, printable_json};
use crate::wire::{HitBody, SearchBody};

/// What a page has at most.
const PAGE_LINES_MAX: u32 = 500;

/// Prints each line behind its run's number, as they are found, or all as one array.
pub async fn search(context: &Context, options: SearchOptions) -> Result<u8, Failure> {
    let mut path = format!("/v1/search?text={}", encoded(&options.text));
    if let Some(id) = options.run {
        path.push_str(&format!("&run={}", context.number(id).await?));
    }
    path.push_str(&format!("&limit={}{}", options.limit.min(PAGE_LINES_MAX), query(&options.filters)));
    let (mut left, mut found, mut next) = (options.limit as usize, Vec::new(), Some(path));
    while let Some(path) = next.take().filter(|_| left > 0) {
        let body = context.daemon.ask(&Ask::get(path.clone())).await?;
        let page: SearchBody<'_> = read(&body)?;
        let hits = page.hits.iter().take(left);
        left -= hits.len();
        if context.json {
            let raw: RawPage = read(&body)?;
            found.extend(raw.hits.iter().take(page.hits.len()).map(|hit| printable_json(hit.get())));
        } else if !page.hits.is_empty() {
            print::answer(&hits.map(told).collect::<String>())?;
        }
        // A page that names itself would never end.
        next = page.next.filter(|next| *next != path);
    }
    if context.json {
        print::answer(&format!("[{}]", found.join(",\n ")))?;
    }
    Ok(0)
}

#[derive(serde::Deserialize)]
struct RawPage {
    hits: Vec<Box<RawValue>>,
}

fn told(hit: &HitBody<'_>) -> String {
    let HitBody { run, line, cut, .. } = hit;
    format!("{run}| {}{}\n", printable(line), if *cut { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::RunId;

    #[test]
    fn a_line_stands_behind_its_runs_number_and_does_nothing_to_a_terminal() {
        let hit = HitBody { run: RunId(42), line: "a\u{1b}[2Jb".into(), cut: true, ..HitBody::default() };
        assert_eq!(told(&hit), "42| a\\x1b[2Jb …\n");
    }
}
