//! Writes the manual and the shells' completions: `cargo run --example man -- DIR`, into DIR/man and DIR/completions.
//!
//! `runabout(1)` and a page for each subcommand come from the definition that `--help` prints, `runabout.toml(5)` from the
//! table of keys in README.md: nothing is said in two places. The binary carries none of it.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;
use runabout::client::args::Cli;

const README: &str = include_str!("../README.md");

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: man DIR")?);
    let (completions, dir) = (dir.join("completions"), dir.join("man"));
    fs::create_dir_all(&dir)?;
    fs::create_dir_all(&completions)?;
    let mut whole = Cli::command();
    whole.build();
    let names: Vec<String> = whole.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    page(&dir, &whole, "runabout", &names)?;
    for sub in whole.get_subcommands() {
        page(&dir, sub, &format!("runabout-{}", sub.get_name()), &[])?;
    }
    fs::write(dir.join("runabout.toml.5"), configuration()?)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut Cli::command(), "runabout", &completions)?;
    }
    Ok(())
}

fn page(dir: &Path, command: &clap::Command, name: &str, subcommands: &[String]) -> Result<(), Box<dyn Error>> {
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).manual("Runabout");
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    if !subcommands.is_empty() {
        man.render_description_section(&mut roff)?;
        man.render_subcommands_section(&mut roff)?;
    }
    man.render_options_section(&mut roff)?;
    let mut roff = String::from_utf8(roff)?;
    // Texts with examples and tables are shown as they were laid out.
    let more = command.get_after_long_help().or(command.get_after_help());
    if let Some(text) = more {
        let _ = write!(roff, ".SH EXAMPLES AND MORE\n.nf\n{}\n.fi\n", escaped(&text.to_string()));
    }
    let see = subcommands.iter().map(|sub| format!(".BR runabout-{sub} (1),\n")).collect::<String>();
    let _ = write!(roff, ".SH SEE ALSO\n{see}.BR runabout (1),\n.BR runabout.toml (5)\n");
    fs::write(dir.join(format!("{name}.1")), roff)?;
    Ok(())
}

/// The rows of README's table: `| [table] key | default | meaning |`.
fn configuration() -> Result<String, Box<dyn Error>> {
    let section = README.split("\n## Configuration\n").nth(1).ok_or("README has no section of that name")?;
    let section = section.split("\n## ").next().unwrap_or(section);
    let mut roff = String::from(
        ".TH RUNABOUT.TOML 5 \"\" \"runabout\" \"Runabout\"\n.SH NAME\nrunabout.toml \\- configuration of the daemon\n.SH DESCRIPTION\n",
    );
    let mut rows = 0;
    for line in section.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", key, default, meaning, ""] if !key.starts_with("---") && *key != "key" => {
                let key = key.replace("` `", " ").replace("` and `", ", ").replace('`', "");
                if let Some(table) = key.strip_prefix('[').and_then(|key| key.split_once(']')).map(|(table, _)| table) {
                    let _ = writeln!(roff, ".SH [{}]", escaped(table));
                }
                let key = key.split_once("] ").map_or(key.as_str(), |(_, key)| key);
                let (default, meaning) = (default.replace('`', ""), meaning.replace('`', ""));
                let _ = writeln!(roff, ".TP\n.B {} = {}\n{}", escaped(key), escaped(&default), escaped(&meaning));
                rows += 1;
            }
            [text] if rows == 0 && !text.starts_with('#') && !text.is_empty() => {
                let _ = writeln!(roff, "{}", escaped(&text.replace('`', "")));
            }
            _ => {}
        }
    }
    if rows == 0 {
        return Err("README's table of keys was not found".into());
    }
    roff.push_str(".SH FILES\n/etc/runabout/config.toml, config.toml in the state directory\n.SH SEE ALSO\n.BR runabout-serve (1)\n");
    Ok(roff)
}

/// Text that roff takes as text: no line of it is a request, no backslash an escape.
fn escaped(text: &str) -> String {
    let plain = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    let line = |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() };
    plain.lines().map(line).collect::<Vec<_>>().join("\n")
}
