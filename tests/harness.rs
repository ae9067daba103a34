//! The tests' own ground: a daemon starts, answers over both of its listeners, and stops.

use crate::common::{Daemon, Reader};

#[test]
fn a_command_runs_and_its_output_is_read_over_both_listeners() {
    let mut daemon = Daemon::start();
    let run = daemon.sh("echo out; echo err >&2");
    assert_eq!(daemon.wait_ended(run)["status"], "succeeded");
    for client in [daemon.clone(), daemon.tcp_as("viewer")] {
        let mut reader = Reader::open(&client, run, 0);
        let end = reader.until_end();
        assert_eq!((&end["status"], &end["exit_code"]), (&"succeeded".into(), &0.into()));
        assert_eq!((&reader.told.stdout[..], &reader.told.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    }
    assert_eq!(daemon.kinds(run), ["queued", "started", "finished"]);
    daemon.restart();
    assert_eq!(daemon.run(run)["status"], "succeeded");
    daemon.kill9();
    daemon.start_again();
    assert_eq!(daemon.metrics().sum("runs"), 1.0);
    daemon.stop();
}
