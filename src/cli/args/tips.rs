//! Which command or option is meant by a word that other programs have for it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What other queues, shells and service managers call it, and what it is here.
const MEANT: &[(&[&str], &str)] = &[
    (&["help", "man", "usage"], "runabout --help"),
    (&["ps", "status", "list", "top"], "runabout ls"),
    (&["info", "get", "describe", "inspect"], "runabout show ID"),
    (&["log", "tail", "output", "cat", "follow"], "runabout logs -f ID"),
    (&["kill", "stop", "abort", "term"], "runabout cancel ID"),
    (&["delete", "remove", "del"], "runabout rm ID"),
    (&["submit", "enqueue", "push", "new"], "runabout add -- CMD..."),
    (&["exec", "execute"], "runabout run -- CMD..."),
    (&["rerun", "restart", "again", "redo"], "runabout retry ID"),
    (&["jobs", "cron", "schedule", "timer", "crontab"], "runabout job ls"),
    (&["hooks", "webhook", "webhooks", "notify"], "runabout hook ls"),
    (&["cursors", "offset", "offsets", "position"], "runabout cursor ls"),
    (&["queues", "pause", "resume"], "runabout queue"),
    (&["start", "daemon", "server"], "runabout serve"),
    (&["session", "users"], "runabout sessions"),
    (&["clean", "gc"], "runabout prune"),
    (&["check"], "runabout doctor"),
    (&["token", "invite"], "runabout enroll"),
    (&["version"], "runabout --version"),
    (&["files", "artefacts", "artifact", "download"], "runabout artifacts ID"),
    (&["grep", "find"], "runabout search TEXT"),
];

/// The same of options.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["--limits", "--limit", "--mem", "--cpu"], "--memory 512M --cpus 0.5 --tasks 100"),
    (&["--lines"], "--tail N"),
    (&["--detach", "-d", "--background"], "runabout add -- CMD..."),
    (&["--workdir", "-w", "--dir", "--chdir"], "-C DIR"),
];

/// The same mistake, with what is right where the word for it was known.
pub fn with_tip(mut error: clap::Error) -> clap::Error {
    let (said, known, near) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, MEANT, ContextKind::SuggestedSubcommand),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, OPTIONS, ContextKind::SuggestedArg),
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(said) else { return error };
    match meant(known, word) {
        Some(tip) => {
            error.remove(near);
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        // It tells how to have the option for a command or a run's number, which nobody wants.
        None if error.kind() == ErrorKind::UnknownArgument => _ = error.remove(ContextKind::Suggested),
        None => {}
    }
    error
}

fn meant(known: &[(&[&str], &'static str)], word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    known.iter().find(|(words, _)| words.contains(&&*word)).map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn other_programs_words_name_the_right_command() {
        let said = |word: &str| {
            let error = Cli::try_parse_from(["runabout", word, "7"]).expect_err("no command");
            with_tip(error).render().to_string()
        };
        for (word, command) in [
            ("status", "runabout ls"),
            ("ps", "runabout ls"),
            ("kill", "runabout cancel ID"),
            ("help", "runabout --help"),
        ] {
            assert!(said(word).contains(&format!("tip: {command}\n")), "{word}: {}", said(word));
        }
        assert!(said("lgs").contains("'logs'"), "what is nearly right is still told: {}", said("lgs"));
    }

    #[test]
    fn other_programs_options_name_the_right_one() {
        let said = |words: &[&str]| {
            let error = Cli::try_parse_from([&["runabout"], words].concat()).expect_err("no option");
            with_tip(error).render().to_string()
        };
        let detached = said(&["run", "--detach", "--", "true"]);
        assert!(detached.contains("tip: runabout add -- CMD...\n"), "{detached}");
        let limited = said(&["run", "--limits", "1G", "--", "true"]);
        assert!(limited.contains("tip: --memory 512M"), "{limited}");
        let right = OPTIONS[0].1.split(' ').collect::<Vec<_>>();
        Cli::try_parse_from([&["runabout", "run"], &*right, &["--", "true"]].concat()).expect("as the tip has it");
        assert!(said(&["run", "--quue", "x", "--", "true"]).contains("'--queue'"));
        let unknown = said(&["logs", "--frobnicate", "1"]);
        assert!(!unknown.contains("tip"), "{unknown}");
    }

    #[test]
    fn no_command_is_taken_for_another() {
        let whole = Cli::command();
        for (words, _) in MEANT {
            let taken = |word: &&&str| whole.get_subcommands().any(|sub| sub.get_name() == **word);
            assert_eq!(words.iter().find(taken), None);
        }
    }
}
