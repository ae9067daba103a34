//! `/v1/search`: text in what runs printed.

use std::borrow::Cow;

use tide::StatusCode;

use crate::http::app::{Answer, Request, json, query};
use crate::http::query::Query;
use crate::http::types::filter::{filter_from, parameters, path_with, sought};
use crate::numbers::Seq;
use crate::run::RunId;
use crate::store::{Hit, Place, Search};
use crate::wire::{HitBody, SearchBody};

/// Lines of a page unless told otherwise.
const LIMIT_DEFAULT: i64 = 50;
/// Lines of a page at most.
const LIMIT_MAX: i64 = 500;

/// `GET /v1/search`
pub async fn read(request: Request) -> Answer {
    let mut query = query(&request);
    let text = query.text("text", sought);
    if text.is_none() && query.is_right() {
        query.wrong("text", "required", "say what to look for");
    }
    let search = Search {
        text: text.unwrap_or_default(),
        filter: filter_from(&mut query),
        run: query.integer("run", 1, i64::MAX).map(RunId),
        from: place(&mut query),
        limit: query.integer("limit", 1, LIMIT_MAX).unwrap_or(LIMIT_DEFAULT) as usize,
    };
    query.finish()?;
    let app = request.state();
    let _turn = app.searches.acquire().await;
    let page = app.store.search(search.clone()).await?;
    let body = SearchBody {
        hits: page.hits.iter().map(shown).collect(),
        next: page.next.map(|place| next_page(&search, place)),
        looked_back_to: page.looked_back_to.map(|at| at.to_string()),
    };
    json(StatusCode::Ok, &body)
}

fn shown(hit: &Hit) -> HitBody<'_> {
    HitBody {
        run: hit.run,
        name: hit.name.as_deref().map(Cow::from),
        seq: hit.seq,
        at: hit.at.to_string(),
        stream: hit.stream.into(),
        line: hit.line.text.as_str().into(),
        cut: hit.line.is_cut,
    }
}

/// Where to go on: `RUN`, `RUN.SEQ` or `RUN.SEQ.LINES`, as `next` says it.
fn place(query: &mut Query) -> Option<Place> {
    let number = |text: &str| -> Option<i64> {
        let is_plain = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten()
    };
    let parse = |text: &str| {
        let numbers: Option<Vec<i64>> = text.split('.').map(number).collect();
        let (run, before, skip) = match numbers?[..] {
            [run] => (run, 0, 0),
            [run, seq] => (run, seq, 0),
            [run, seq, lines] => (run, seq, lines),
            _ => return None,
        };
        let is_named = run > 0 && !text.starts_with('0');
        Some(Place { run: RunId(run), before: Seq(before), skip: usize::try_from(skip).ok()? }).filter(|_| is_named)
    };
    let text = query.text("before", |text| {
        parse(text).map(drop).ok_or_else(|| "must be a run's number, or what `next` says".to_owned())
    })?;
    parse(&text)
}

fn next_page(search: &Search, place: Place) -> String {
    let Place { run, before, skip } = place;
    let before = match (before, skip) {
        (Seq(0), _) => run.to_string(),
        (before, 0) => format!("{run}.{before}"),
        (before, skip) => format!("{run}.{before}.{skip}"),
    };
    let run = search.run.map(|run| ("run", run.to_string()));
    let all = [("text", search.text.clone())].into_iter().chain(parameters(&search.filter)).chain(run);
    path_with("/v1/search", all.chain([("limit", search.limit.to_string()), ("before", before)]))
}
