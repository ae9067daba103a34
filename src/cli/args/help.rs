//! The longer texts of `--help`: examples, places, environment, exit codes.
//!
//! A paragraph is one line, which is wrapped to the terminal's width; what has columns fits into 80.

/// After the short help.
pub const EXAMPLES: &str = "\
Examples:
  runabout serve                                  the daemon, in the foreground
  runabout run -- make -j4                        queue it, follow it, exit as it does
  runabout add -n nightly -t 2h -- ./backup.sh    queue it, print its number
  runabout logs -f last                           follow the newest run
  runabout ls --status failed,timed_out

`runabout --help` tells exit codes and environment, `runabout run --help` the options of a run.";

/// After the long help.
pub const FOOTER: &str = "\
Examples:
  runabout serve                                  the daemon, in the foreground
  runabout run -- make -j4                        queue it, follow it, exit as it does
  runabout run -s 'cd /srv && ./deploy | tee log' the same for a line of shell
  runabout add -n nightly -t 2h -- ./backup.sh    queue it, print its number
  runabout logs -f last                           follow the newest run
  runabout wait 41 42 && echo both succeeded
  runabout --url http://pi.local:7867 ls          over the network, with RUNABOUT_TOKEN

Where the daemon is:
  --url, else the socket in --state-dir, else RUNABOUT_URL, else the socket in
  RUNABOUT_STATE_DIR, else what `login` saved, else the socket in the default
  state directory (/var/lib/runabout for root, else $XDG_STATE_HOME/runabout or
  ~/.local/state/runabout), else /run/runabout/runabout.sock.

Environment:
  RUNABOUT_URL         a daemon: http://HOST:PORT, https://HOST:PORT, or
                       unix:/path/of/its/socket
  RUNABOUT_TOKEN       the session token for it; needed over the network only
  RUNABOUT_CA          as --ca, for https
  SSL_CERT_FILE        the system's authorities, where they are in no usual place
  RUNABOUT_STATE_DIR   the state directory
  RUNABOUT_RUN_TOKEN   set in a run's command for `progress`, as are RUNABOUT_URL,
                       RUNABOUT_RUN_ID and, for curl, RUNABOUT_SOCKET
  NO_COLOR             no colours, also on a terminal

Exit codes:
  run, wait, attach    the command's own; 128+N ended by signal N; 124 timed out;
                       143 canceled; 126 not executable; 127 not found;
                       125 interrupted, or Runabout's own failure
  everything else      0 done; 1 the daemon said no
  all                  2 wrong usage; 3 no daemon there";

/// `run` and `add` take the same words.
macro_rules! submit_usage {
    ($name:literal) => {
        concat!(
            "runabout ",
            $name,
            " [OPTIONS] -- CMD...\n",
            "       runabout ",
            $name,
            " [OPTIONS] --script SCRIPT\n",
            "       runabout ",
            $name,
            " [OPTIONS] --file FILE"
        )
    };
}
pub(super) use submit_usage;

macro_rules! submit_help {
    ($name:literal, $more:literal) => {
        concat!(
            "Examples:\n",
            "  runabout ",
            $name,
            " -- make -j4\n",
            "  runabout ",
            $name,
            " -q gpu -p 10 -t 2h -n train -- ./train.sh\n",
            "  runabout ",
            $name,
            " -s 'df -h; free -m'\n",
            "  runabout ",
            $name,
            " --file job.sh -e STAGE=test\n",
            "  runabout ",
            $name,
            " -i -- psql mydb < report.sql\n\n",
            "Over the local socket, the caller's directory and PATH go along unless -C or -e PATH=… are given; a directory ",
            "that the command's user may not enter does not. PYTHONUNBUFFERED=1 is set, too.",
            $more
        )
    };
}

/// After the help of `run`.
pub const RUN_HELP: &str = submit_help!(
    "run",
    "

Ctrl-C cancels the run; a second Ctrl-C leaves it running and exits 130. A closed output (`| head`) \
    cancels it too; a lost terminal leaves it running.

It exits as the command did: with its own code, or 128+N ended by signal N, 124 timed out, \
    143 canceled, 126 not executable, 127 not found, 125 interrupted or Runabout's own failure."
);

/// After the help of `add`.
pub const ADD_HELP: &str = submit_help!("add", "");

/// After the help of `attach`.
pub const ATTACH_HELP: &str = "\
On a run's terminal (`run -t`) every key is the command's own, Ctrl-C too, but for those behind Ctrl-]:
  Ctrl-] d   leave it running            Ctrl-] w   write, in the place of who does
  Ctrl-] z   stop this program           Ctrl-] ?   say this
Ctrl-] twice is one for the command. Many may watch a run, one of them writes; another does when that one has typed nothing \
for half a minute, or at once with Ctrl-] w.

What the command draws comes as it is, as from any program that is started here. It exits as the command did; 0 when it was \
left.

Examples:
  runabout run -it -- bash                 a shell; Ctrl-] d leaves it running
  runabout attach last                     back to it
  runabout attach --read-only 42           only watch
  runabout add -it --name editor -- vim notes.txt
  printf 'yes\\n' | runabout attach 42      for a run whose input is open: type a line, and end its input";

/// After the help of `logs`.
pub const LOGS_HELP: &str = "\
Of several runs each line stands behind its run's number: `42| a line`. With -f they are followed \
together, over one connection, until all have ended; without, one is printed after the other. \
With several, --after takes `latest` or -N alone: the newest N events of all of them with -f, else of each.

Examples:
  runabout logs last                       what the newest run has printed so far
  runabout logs -f -n 20 42                its last 20 lines, and what comes
  runabout logs -f 41 42 43                three at once";

/// How `artifacts` is used.
pub(super) const ARTIFACTS_HELP: &str = "\
Examples:
  runabout artifacts last
  runabout artifacts 42 report.pdf             saved as report.pdf in this directory
  runabout artifacts 42 logs/app.log -o - | less";

/// How `search` is used.
pub(super) const SEARCH_HELP: &str = "\
Examples:
  runabout search 'no space left'
  runabout search error -q nightly --since 1d     each line behind its run's number";

/// How `cancel` is used.
pub(super) const CANCEL_HELP: &str = "\
Examples:
  runabout cancel 42                        SIGTERM, and SIGKILL after a while
  runabout cancel --now 42                  SIGKILL
  runabout cancel --all -q gpu              all that wait and run in a queue
  runabout cancel --all --status queued --since 1h --dry-run";
