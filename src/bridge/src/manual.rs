//! `manual`, for whoever packages: the pages of section 1, from the definition that `--help` prints.

use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::args::Args;
use crate::told::Refusal;

/// Writes a page for the program and one for each of its commands into a directory.
///
/// # Errors
/// It cannot be written to.
pub fn write(dir: &Path) -> Result<(), Refusal> {
    let refusal = |error: std::io::Error| Refusal::No(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(refusal)?;
    let mut whole = Args::command();
    whole.build();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let pages = commands.map(|command| (format!("runabout-bridge-{}", command.get_name()), command.clone()));
    for (name, command) in pages.chain([("runabout-bridge".to_owned(), whole.clone())]) {
        let page = Man::new(command).title(name.to_uppercase()).manual("Runabout");
        let mut roff = Vec::new();
        page.render(&mut roff).map_err(refusal)?;
        roff.extend_from_slice(b".SH SEE ALSO\n.BR runabout-bridge (1),\n.BR runabout (1)\n");
        std::fs::write(dir.join(format!("{name}.1")), roff).map_err(refusal)?;
    }
    Ok(())
}
