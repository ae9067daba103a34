//! `artifacts`: lists what a run left, or saves one of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use super::context::{Context, one_value};
use crate::cli::args::ArtifactsOptions;
use crate::cli::print::{self, Colour, Paint, Table};
use crate::cli::view::read;
use crate::client::connection::{Ask, encoded};
use crate::client::failure::Failure;
use crate::text::printable;
use crate::wire::{ArtifactList, ArtifactState, Word};

/// Digits of a hash that are shown; `--json` has all.
const HASH_SHOWN: usize = 12;

/// Lists them, or saves the one that is named.
pub async fn artifacts(context: &Context, options: ArtifactsOptions) -> Result<u8, Failure> {
    let number = context.number(options.id).await?;
    let path = format!("/v1/runs/{number}/artifacts");
    let Some(name) = &options.name else { return list(context, &path).await };
    let parts: Vec<String> = name.split('/').map(encoded).collect();
    let ask = Ask::get(format!("{path}/{}", parts.join("/")));
    let output = options.output.clone().unwrap_or_else(|| PathBuf::from(parts_last(name)));
    if output == Path::new("-") {
        let mut out = io::stdout().lock();
        if out.is_terminal() && options.output.is_none() {
            return Err(Failure::Usage("standard output is a terminal: -o FILE".to_owned()));
        }
        let written = |error: io::Error| Failure::Own(format!("cannot write standard output: {error}"));
        let sent = context.daemon.download(&ask, |bytes| out.write_all(bytes).map_err(written)).await;
        sent.map_err(|failure| in_commands(failure, number))?;
        out.flush().map_err(written)?;
        return Ok(0);
    }
    save(context, &ask, &output, options.force).await.map_err(|failure| in_commands(failure, number))?;
    print::note(&format!("{}: saved as {}", printable(name), printable(&output.to_string_lossy())));
    Ok(0)
}

/// The daemon tells users of its API which request lists them; whoever has typed a command is told which command does.
fn in_commands(failure: Failure, run: i64) -> Failure {
    match failure {
        Failure::Refused(mut problem) => {
            let told = format!("GET /v1/runs/{run}/artifacts lists");
            problem.detail = problem.detail.replace(&told, &format!("`runabout artifacts {run}` lists")).into();
            Failure::Refused(problem)
        }
        other => other,
    }
}

fn parts_last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Saves it: the file has its name once all of it is there.
async fn save(context: &Context, ask: &Ask, output: &Path, force: bool) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let shown = printable(&path.to_string_lossy()).into_owned();
        move |error: io::Error| Failure::Own(format!("{shown}: {error}"))
    };
    if output.is_dir() {
        return Err(Failure::Own(format!("{} is a directory; name a file in it", output.display())));
    }
    if !force && output.symlink_metadata().is_ok() {
        return Err(Failure::Own(format!("{} is there already; --force replaces it", output.display())));
    }
    let mut part = output.as_os_str().to_owned();
    part.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(part);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&part).map_err(failed(&part))?;
    let written = context.daemon.download(ask, |bytes| file.write_all(bytes).map_err(failed(&part))).await;
    let saved =
        written.and_then(|()| File::sync_all(&file).and_then(|()| fs::rename(&part, output)).map_err(failed(output)));
    saved.inspect_err(|_| drop(fs::remove_file(&part)))
}

async fn list(context: &Context, path: &str) -> Result<u8, Failure> {
    let body = context.daemon.ask(&Ask::get(path)).await?;
    if context.json {
        print::answer_json(one_value(&body)?)?;
        return Ok(0);
    }
    let list: ArtifactList<'_> = read(&body)?;
    let mut table = Table::new(&[">BYTES", "MODIFIED", "SHA256", "NAME"]);
    for one in &list.artifacts {
        let hash = one.sha256.as_deref().and_then(|hash| hash.get(..HASH_SHOWN)).unwrap_or("-");
        table.row([
            (&one.bytes.to_string(), Colour::Plain),
            (&one.modified_at, Colour::Dim),
            (hash, Colour::Dim),
            (&one.name, Colour::Plain),
        ]);
    }
    if list.artifacts.is_empty() {
        print::note(match list.state {
            Word::Known(ArtifactState::Removed) => "its artifacts were removed to make room (retention.artifact_bytes)",
            Word::Known(ArtifactState::Live) => "nothing is in its $RUNABOUT_ARTIFACTS yet",
            _ => "it left nothing in $RUNABOUT_ARTIFACTS",
        });
        return Ok(0);
    }
    print::answer(&table.show(Paint::new()))?;
    Ok(0)
}
