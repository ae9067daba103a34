//! The words of `cursor`.

use clap::Subcommand;

pub(super) const CURSOR_HELP: &str = "\
Examples:
  runabout cursor ls                  how far behind each is, and when it was last put
  runabout cursor set report latest   keep from now on what `report` has not read
  runabout cursor set report 4711     it has all events up to this one
  runabout cursor rm report           keep nothing for it any more

A cursor is the id of an event, as GET /v1/events tells it. Retention keeps what comes after the lowest one, until the \
database is full (retention.db_bytes), and not for a cursor that nobody has put for retention.cursor_days.";

/// What to do with cursors.
#[derive(Debug, Subcommand)]
pub enum CursorCommand {
    /// List the cursors
    Ls,
    /// Make a cursor, or move one
    #[command(aliases = ["put", "add", "create", "new"])]
    Set {
        /// The cursor: 1 to 64 of a-z, 0-9, _ and -
        name: String,
        /// The last event that its reader has: an id, INSTANCE-ID, or `latest`; 0 is before the first
        #[arg(value_name = "ID", value_parser = event)]
        at: CursorAt,
    },
    /// Delete cursors
    Rm {
        /// The cursors
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Where a cursor is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CursorAt {
    /// At the newest event.
    Latest,
    /// At this event, of the database with this name where one is said.
    Event(Option<String>, i64),
}

fn event(text: &str) -> Result<CursorAt, String> {
    match crate::scope::Cursor::parse(text) {
        Some(crate::scope::Cursor::Latest) => Ok(CursorAt::Latest),
        Some(crate::scope::Cursor::After(id)) => Ok(CursorAt::Event(None, id.0)),
        Some(crate::scope::Cursor::Of(instance, id)) => Ok(CursorAt::Event(Some(instance), id.0)),
        Some(crate::scope::Cursor::Newest(_)) | None => {
            Err("it must be an event's id, INSTANCE-ID or `latest`".to_owned())
        }
    }
}
