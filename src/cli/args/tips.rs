//! Which command is meant by a word that other programs have for it.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What other queues, shells and service managers call it, and what it is here.
const MEANT: &[(&[&str], &str)] = &[
    (&["help", "man", "usage"], "runabout --help"),
    (&["ps", "status", "list", "top"], "runabout ls"),
    (&["info", "get", "describe", "inspect"], "runabout show ID"),
    (&["log", "tail", "output", "cat", "follow", "attach"], "runabout logs -f ID"),
    (&["kill", "stop", "abort", "term"], "runabout cancel ID"),
    (&["delete", "remove", "del"], "runabout rm ID"),
    (&["submit", "enqueue", "push", "new"], "runabout add -- CMD..."),
    (&["exec", "execute"], "runabout run -- CMD..."),
    (&["rerun", "restart", "again", "redo"], "runabout retry ID"),
    (&["jobs", "cron", "schedule", "timer", "crontab"], "runabout job ls"),
    (&["queues", "pause", "resume"], "runabout queue"),
    (&["start", "daemon", "server"], "runabout serve"),
    (&["session", "users"], "runabout sessions"),
    (&["clean", "gc"], "runabout prune"),
    (&["check"], "runabout doctor"),
    (&["token", "invite"], "runabout enroll"),
    (&["version"], "runabout --version"),
    (&["grep", "find"], "runabout search TEXT"),
];

/// The same mistake, with the right command where the word for one was known.
pub fn with_tip(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if let Some(command) = meant(word) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![command.into()]));
    }
    error
}

fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    MEANT.iter().find(|(words, _)| words.contains(&&*word)).map(|(_, command)| *command)
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
    fn no_command_is_taken_for_another() {
        let whole = Cli::command();
        for (words, _) in MEANT {
            let taken = |word: &&&str| whole.get_subcommands().any(|sub| sub.get_name() == **word);
            assert_eq!(words.iter().find(taken), None);
        }
    }
}
