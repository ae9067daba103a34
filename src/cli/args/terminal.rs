//! `-t` of `run` and `add`: with a time behind it `--timeout`, as it always was; else `--tty`, as other programs have it, also
//! in `-it`.
//!
//! The definition of options cannot say that, so that it is spelled out before they are read.

use std::ffi::OsString;

use clap::Command;

use crate::cli::duration;

/// The same words, with `--tty` where `-t` means that by this definition of all that can be said.
pub fn spelled_out(words: impl IntoIterator<Item = OsString>, definition: impl Fn() -> Command) -> Vec<OsString> {
    let words: Vec<OsString> = words.into_iter().collect();
    let is_meant =
        |word: &OsString| word.to_str().is_some_and(|word| flags(word).is_some_and(|flags| flags.contains('t')));
    if !words.iter().any(is_meant) {
        return words;
    }
    let (cli, mut reading) = (definition(), None);
    let mut spelled = Vec::with_capacity(words.len() + 1);
    // The first is this program.
    let mut rest = words.into_iter().enumerate();
    while let Some((nth, word)) = rest.next() {
        let text = word.to_str().map(str::to_owned);
        spelled.push(word);
        let (Some(text), 1..) = (text, nth) else { continue };
        if text == "--" || !text.starts_with('-') {
            match (reading, cli.find_subcommand(&text)) {
                (None, Some(command)) if ["run", "add"].contains(&text.as_str()) => reading = Some(command),
                // Another subcommand, or the words of the run's own.
                _ => break,
            }
            continue;
        }
        let options = reading.unwrap_or(&cli);
        let mut ahead = rest.clone().filter_map(|(_, word)| word.into_string().ok());
        // What stands before `--` is no command, so that it was to be a time.
        let is_time = ahead.next().is_some_and(|word| {
            let is_last = ahead.next().is_some_and(|word| word == "--");
            !word.starts_with('-') && (is_last || duration::parse_s(&word).is_ok())
        });
        let takes_next = match flags(&text) {
            None => !text.contains('=') && takes_value(&cli, options, |arg| arg.get_long() == Some(&text[2..])),
            Some(flags) => {
                match flags.chars().position(|flag| takes_value(&cli, options, |arg| arg.get_short() == Some(flag))) {
                    Some(at) if at + 1 < flags.chars().count() => false,
                    Some(_) if flags.ends_with('t') && !is_time => {
                        let before = &text[..text.len() - 1];
                        spelled.pop();
                        spelled.extend((before != "-").then(|| before.into()));
                        spelled.push("--tty".into());
                        false
                    }
                    found => found.is_some(),
                }
            }
        };
        if takes_next {
            spelled.extend(rest.next().map(|(_, word)| word));
        }
    }
    spelled.extend(rest.map(|(_, word)| word));
    spelled
}

/// The letters of short options that stand together.
fn flags(word: &str) -> Option<&str> {
    word.strip_prefix('-').filter(|flags| !flags.is_empty() && !flags.starts_with('-'))
}

/// Whether the option that is like this has a value; those that stand everywhere are the program's own.
fn takes_value(cli: &Command, command: &Command, is_it: impl Fn(&clap::Arg) -> bool) -> bool {
    let known = command.get_arguments().chain(cli.get_arguments()).find(|arg| is_it(arg));
    known.is_some_and(|arg| arg.get_action().takes_values() && !arg.is_positional())
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;
    use crate::cli::args::submit;

    fn definition() -> Command {
        let submit = |name: &'static str| <submit::SubmitOptions as clap::Args>::augment_args(Command::new(name));
        let url = Arg::new("url").long("url").global(true);
        let json = Arg::new("json").long("json").global(true).action(clap::ArgAction::SetTrue);
        Command::new("runabout").args([url, json]).subcommands([submit("run"), submit("add"), Command::new("logs")])
    }

    fn spelled(line: &str) -> String {
        let words = spelled_out(line.split(' ').map(OsString::from), definition);
        words.iter().map(|word| word.to_str().expect("text")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_time_behind_it_is_a_timeout_and_anything_else_is_none() {
        for same in [
            "runabout run -t 90s -- true",
            "runabout run -t90s true",
            "runabout run -t soon -- true",
            "runabout add -it 5 true",
            "runabout run -- sh -t",
            "runabout run ls -t",
            "runabout run -e -t -- true",
            "runabout logs -t 42",
            "runabout --url -t run true",
        ] {
            assert_eq!(spelled(same), same);
        }
        for (said, meant) in [
            ("runabout run -t bash", "runabout run --tty bash"),
            ("runabout run -it -- bash -c x", "runabout run -i --tty -- bash -c x"),
            ("runabout --json run -q gpu -it top", "runabout --json run -q gpu -i --tty top"),
            ("runabout run -t -t 5m sh", "runabout run --tty -t 5m sh"),
            ("runabout add -t", "runabout add --tty"),
        ] {
            assert_eq!(spelled(said), meant);
        }
    }
}
