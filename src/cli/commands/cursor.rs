//! `cursor`: lists, moves and deletes durable cursors.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Context, one_value};
use super::named::rm;
use crate::cli::args::{CursorAt, CursorCommand};
use crate::cli::duration::show_ms;
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::read;
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::clock::UnixMs;
use crate::wire::CursorBody;

/// Does what the words say.
pub async fn cursor(context: &Context, command: CursorCommand) -> Result<u8, Failure> {
    match command {
        CursorCommand::Ls => ls(context).await,
        CursorCommand::Set { name, at } => set(context, &name, at).await,
        CursorCommand::Rm { names } => rm(context, "cursor", path_of, &names).await,
    }
}

fn path_of(name: &str) -> String {
    format!("/v1/cursors/{}", encoded(name))
}

#[derive(Deserialize)]
struct Listed {
    cursors: Vec<CursorBody<'static>>,
}

async fn ls(context: &Context) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get("/v1/cursors")).await?;
    if context.json {
        let listed: Value = read(&body)?;
        print::answer_json(&listed["cursors"].to_string())?;
    } else {
        print::answer(&table(&read::<Listed>(&body)?.cursors, UnixMs::now()))?;
    }
    Ok(0)
}

#[derive(Deserialize)]
struct Stands {
    last_id: i64,
}

async fn set(context: &Context, name: &str, at: CursorAt) -> Result<u8, Failure> {
    let (instance, id) = match at {
        CursorAt::Event(instance, id) => (instance, id),
        CursorAt::Latest => {
            let body = context.daemon.ask(&Ask::get("/v1/events?after=latest&limit=1")).await?;
            (None, read::<Stands>(&body)?.last_id)
        }
    };
    let wish = json!({ "id": id, "instance": instance });
    let body = context.daemon.ask(&Ask::new(Method::PUT, path_of(name)).with(&wish)).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
    } else {
        print::answer(&table(&[read(&body)?], UnixMs::now()))?;
    }
    Ok(0)
}

fn table(cursors: &[CursorBody<'_>], now: UnixMs) -> String {
    let mut table = Table::new(&["CURSOR", ">ID", ">BEHIND", ">PUT", "STATE"]);
    for cursor in cursors {
        let (state, colour) = if cursor.holds { ("holds", Colour::Plain) } else { ("too old", Colour::Yellow) };
        let put = UnixMs::parse(&cursor.moved_at).map(|at| format!("{} ago", show_ms((now.0 - at.0).max(0))));
        table.row([
            (&cursor.name, Colour::Plain),
            (&cursor.id.to_string(), Colour::Plain),
            (&cursor.behind.to_string(), Colour::Plain),
            (put.as_deref().unwrap_or("-"), Colour::Plain),
            (state, colour),
        ]);
    }
    table.show(Paint::new())
}
