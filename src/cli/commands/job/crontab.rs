//! `job import-crontab`: what a crontab says, as files for `job apply`, and what of it cannot be carried over.
//!
//! Nothing is sent to a daemon: what is printed is for a person to read and to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use crate::cli::print;
use crate::client::failure::Failure;
use crate::text::{json_string, printable};

/// Bytes of a crontab.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Prints the TOML; what is lost is told in it as comments, and on standard error.
pub fn import(file: &Path, system: bool) -> Result<u8, Failure> {
    let wrong = |error: std::io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let mut text = String::new();
    match file == Path::new("-") {
        true => std::io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrong)?,
        false => {
            std::fs::File::open(file).map_err(wrong)?.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrong)?
        }
    };
    let Converted { toml, lost } = convert(&text, system);
    lost.iter().for_each(|lost| print::warn(&printable(lost)));
    print::answer(toml.trim_end())?;
    Ok(0)
}

struct Converted {
    toml: String,
    lost: Vec<String>,
}

fn convert(text: &str, system: bool) -> Converted {
    let (mut toml, mut lost) = (String::new(), Vec::new());
    let (mut env, mut zone, mut names) = (BTreeMap::new(), None, BTreeSet::new());
    for (at, line) in text.lines().enumerate() {
        let (line, number) = (line.trim(), at + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = assignment(line) {
            match name {
                "MAILTO" | "MAILFROM" => {
                    lost.push(format!("line {number}: {name}: there is no mail; look at the runs, or use a hook"))
                }
                "SHELL" if value != "/bin/sh" => {
                    lost.push(format!("line {number}: SHELL={value}: scripts are run by /bin/sh"))
                }
                "SHELL" | "LOGNAME" | "USER" => {}
                "CRON_TZ" => zone = Some(value.to_owned()),
                // TZ too: no cron runs by it, it is for the command alone.
                _ => _ = env.insert(name.to_owned(), value.to_owned()),
            }
            continue;
        }
        match entry(line, system) {
            Err(why) => lost.push(format!("line {number}: {why}: {line}")),
            Ok(entry) => {
                let name = name_of(&entry.command, &mut names);
                if let Some(user) = entry.user.filter(|user| *user != "root") {
                    lost.push(format!(
                        "line {number}: {name}: the daemon runs commands as one user ([runs] user), not as {user}"
                    ));
                }
                toml += &format!("# {name}.toml, of line {number}\n");
                toml += &format!("schedule = {}\n", json_string(&entry.schedule));
                toml += &zone.as_ref().map_or(String::new(), |zone: &String| format!("zone = {}\n", json_string(zone)));
                // As cron has it: nothing is caught up with, and runs do not wait for each other.
                toml += "catch_up = \"none\"\noverlap = \"allow\"\n[run]\n";
                toml += &format!("script = {}\n", json_string(&entry.command));
                // Where cron starts a command. Without it that is the home of the user, which the file does not tell.
                let home = env.get("HOME").filter(|home| home.starts_with('/'));
                toml += &home.map_or(String::new(), |home| format!("cwd = {}\n", json_string(home)));
                toml += &entry.stdin.map_or(String::new(), |stdin| format!("stdin = {}\n", json_string(&stdin)));
                if !env.is_empty() {
                    toml += "[run.env]\n";
                    for (name, value) in &env {
                        toml += &format!("{} = {}\n", json_string(name), json_string(value));
                    }
                }
                toml.push('\n');
            }
        }
    }
    for lost in &lost {
        toml += &format!("# not carried over: {}\n", printable(lost));
    }
    Converted { toml, lost }
}

/// `NAME = value`, with or without quotes.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let unquoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    (is_name && !name.as_bytes()[0].is_ascii_digit()).then_some((name, unquoted.unwrap_or(value)))
}

struct Entry<'a> {
    schedule: String,
    user: Option<&'a str>,
    command: String,
    stdin: Option<String>,
}

fn entry(line: &str, system: bool) -> Result<Entry<'_>, String> {
    // Debian's cron takes a leading `-` for "do not log".
    let mut rest = line.strip_prefix('-').unwrap_or(line);
    let mut word = || {
        let end = rest.find(char::is_whitespace)?;
        let (word, left) = rest.split_at(end);
        rest = left.trim_start();
        Some(word)
    };
    let missing = || "it has too few fields".to_owned();
    let first = word().ok_or_else(missing)?;
    let schedule = if first.eq_ignore_ascii_case("@reboot") {
        return Err("@reboot is no time; start it by a unit of systemd".into());
    } else if first.starts_with('@') {
        first.to_owned()
    } else {
        let mut fields = vec![first];
        for _ in 0..4 {
            fields.push(word().ok_or_else(missing)?);
        }
        fields.join(" ")
    };
    let user = if system { Some(word().ok_or_else(missing)?) } else { None };
    if rest.is_empty() {
        return Err("it has no command".into());
    }
    let (command, stdin) = at_percents(rest);
    Ok(Entry { schedule, user, command, stdin })
}

/// A command up to its first `%`, and what follows as standard input, where further ones end lines, and so does its end.
/// `\%` is one itself.
fn at_percents(text: &str) -> (String, Option<String>) {
    let mut parts = vec![String::new()];
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek() == Some(&'%') => parts.last_mut().into_iter().for_each(|part| part.push('%')),
            '%' if !text.is_empty() => parts.push(String::new()),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(letter)),
        }
        if letter == '\\' && letters.peek() == Some(&'%') {
            letters.next();
        }
    }
    let command = parts.remove(0);
    if parts.last().is_some_and(|last| !last.is_empty()) {
        parts.push(String::new());
    }
    (command, (!parts.is_empty()).then(|| parts.join("\n")))
}

/// A name for a job, after the program that it runs; different from all before it.
fn name_of(command: &str, names: &mut BTreeSet<String>) -> String {
    let program = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or("job");
    let base = program.rsplit('/').next().unwrap_or(program).to_lowercase();
    let mut name: String =
        base.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    name = name.trim_matches('-').chars().take(50).collect();
    if name.is_empty() {
        name = "job".to_owned();
    }
    let first = name.clone();
    let mut nth = 2;
    while !names.insert(name.clone()) {
        name = format!("{first}-{nth}");
        nth += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRONTAB: &str = "\
# a comment
MAILTO=root
PATH=/usr/bin:/bin
CRON_TZ = Europe/Berlin
17 *\t* * *\troot    cd / && run-parts /etc/cron.hourly
@daily backup /usr/local/bin/backup.sh --all
0 3 * * 0 root mail -s hi me%first\\%%second
@reboot root start
* * *
";

    #[test]
    fn a_crontab_becomes_files_and_says_what_is_lost() {
        let Converted { toml, lost } = convert(CRONTAB, true);
        for part in [
            "# cd.toml, of line 5\nschedule = \"17 * * * *\"\nzone = \"Europe/Berlin\"\n",
            "script = \"cd / && run-parts /etc/cron.hourly\"\n[run.env]\n\"PATH\" = \"/usr/bin:/bin\"\n",
            "# backup-sh.toml, of line 6\nschedule = \"@daily\"\n",
            "script = \"mail -s hi me\"\nstdin = \"first%\\nsecond\\n\"\n",
        ] {
            assert!(toml.contains(part), "{part}\nis not in\n{toml}");
        }
        let told: Vec<&str> = lost.iter().filter_map(|lost| lost.split(": ").nth(1)).collect();
        assert_eq!(
            told,
            ["MAILTO", "backup-sh", "@reboot is no time; start it by a unit of systemd", "it has too few fields"]
        );
        assert!(convert("", false).toml.is_empty());
    }

    #[test]
    fn the_command_finds_what_cron_gives_it() {
        let toml = |crontab| convert(crontab, false).toml;
        let zoned = toml("TZ=Asia/Tokyo\n0 3 * * * date\n");
        assert!(!zoned.contains("zone = ") && zoned.contains("\"TZ\" = \"Asia/Tokyo\""), "{zoned}");
        let at_home = toml("0 1 * * * ls\nHOME=/srv\n0 3 * * * ls\n");
        assert_eq!(at_home.matches("cwd = ").count(), 1, "{at_home}");
        assert!(at_home.contains("script = \"ls\"\ncwd = \"/srv\"\n[run.env]\n\"HOME\" = \"/srv\"\n"), "{at_home}");
        assert!(!toml("HOME=here\n0 3 * * * ls\n").contains("cwd = "), "no path to start in");
        let ends = ["cat", "cat%", "cat%one", "cat%one%", "cat%one%%"].map(|command| at_percents(command).1);
        assert_eq!(
            ends,
            [None, Some(""), Some("one\n"), Some("one\n"), Some("one\n\n")].map(|end| end.map(str::to_owned))
        );
    }
}
