//! Tells of every run that ends, once, also of those that ended while it was away: the beginning of a bridge to a chat, a
//! mailbox or another queue, with the crate's own client.
//!
//! `cargo run --example bridge -- FILE` prints a line a run and keeps its place in FILE. `RUNABOUT_URL` is
//! `http://HOST:PORT` with a session's token in `RUNABOUT_TOKEN`, or `unix:/path/of/the/socket`.
//!
//! The place is written after the line is out: what was told just before a crash is told again, and nothing is left out.

use std::error::Error;
use std::path::Path;

use futures_lite::StreamExt as _;
use runabout::client::{Client, Filter, What};
use runabout::event::Kind;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: bridge FILE")?;
    smol::block_on(tell(Path::new(&file)))
}

async fn tell(file: &Path) -> Result<(), Box<dyn Error>> {
    let mut client = Client::new(&std::env::var("RUNABOUT_URL")?)?;
    if let Ok(token) = std::env::var("RUNABOUT_TOKEN") {
        client = client.with_token(token);
    }
    // The first time, only what comes.
    let cursor = std::fs::read_to_string(file).unwrap_or_else(|_| "latest".to_owned());
    let filter = Filter { kinds: vec![Kind::Finished], ..Filter::default() };
    let mut events = client.follow_all(&filter, cursor.trim());
    while let Some(delivery) = events.next().await {
        let delivery = delivery?;
        for gap in &delivery.gone {
            println!("events {} to {} are gone: {}", gap.from, gap.to, gap.reason);
        }
        if let What::Finished(outcome) = &delivery.event.what {
            println!("run {} ended at {}: {}", delivery.event.run, delivery.event.at, outcome.status);
        }
        keep(file, &delivery.cursor)?;
    }
    Ok(())
}

/// Written beside it and renamed, so that a crash leaves the old place or the new one.
fn keep(file: &Path, cursor: &str) -> std::io::Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, cursor)?;
    std::fs::rename(new, file)
}
