//! `manual`, for whoever packages: the pages of section 1 and the completions, as files.
//!
//! All of it is made from the definition that `--help` prints, so that nothing is said in two places. No daemon is asked.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::generate_to;
use clap_mangen::Man;

use crate::cli::args::{Cli, Shell};
use crate::client::failure::Failure;

/// Writes `man/` and `completions/` into a directory.
pub fn manual(dir: &Path) -> Result<u8, Failure> {
    write(dir).map_err(|error| Failure::Own(format!("{}: {error}", dir.display())))?;
    Ok(0)
}

fn write(dir: &Path) -> io::Result<()> {
    let (pages, completions) = (dir.join("man"), dir.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    let mut whole = Cli::command();
    whole.build();
    page(&pages, &whole, "runabout")?;
    for sub in shown(&whole) {
        let name = format!("runabout-{}", sub.get_name());
        page(&pages, sub, &name)?;
        for inner in shown(sub) {
            page(&pages, inner, &format!("{name}-{}", inner.get_name()))?;
        }
    }
    for shell in Shell::ALL {
        generate_to(shell.generator(), &mut Cli::command(), "runabout", &completions)?;
    }
    Ok(())
}

fn shown(whole: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    whole.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn page(dir: &Path, command: &clap::Command, name: &str) -> io::Result<()> {
    let man = Man::new(command.clone()).title(name.to_uppercase()).manual("Runabout");
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    if command.has_subcommands() {
        man.render_description_section(&mut roff)?;
        man.render_subcommands_section(&mut roff)?;
    }
    man.render_options_section(&mut roff)?;
    let mut roff = String::from_utf8_lossy(&roff).into_owned();
    // Texts with examples and tables are shown as they were laid out.
    if let Some(text) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = write!(roff, ".SH EXAMPLES AND MORE\n.nf\n{}\n.fi\n", escaped(&text.to_string()));
    }
    let see: String = shown(command).map(|sub| format!(".BR {name}-{} (1),\n", sub.get_name())).collect();
    let _ = write!(roff, ".SH SEE ALSO\n{see}.BR runabout (1),\n.BR runabout.toml (5)\n");
    fs::write(dir.join(format!("{name}.1")), roff)
}

/// Text that roff takes as text: no line of it is a request, no backslash an escape.
fn escaped(text: &str) -> String {
    let plain = text.replace('\\', "\\e").replace('-', "\\-");
    let line = |line: &str| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() };
    plain.lines().map(line).collect::<Vec<_>>().join("\n")
}
