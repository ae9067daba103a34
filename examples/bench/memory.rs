//! What is resident when nothing happens, and after many runs. Of bursts and of output other parts tell.

use crate::bench::Bench;
use crate::closed_loop::Until;
use crate::daemon::Daemon;
use crate::no_ops::{run_all, start_pueue, wait_pueue};
use crate::peers::PUEUE;
use crate::process::done;
use crate::submits::submit;

/// Once and no median of rounds: memory is no matter of luck, and they take minutes.
const RUNS: usize = 100_000;
const SLOTS: usize = 8;
/// Idle daemons that are started.
const STARTS: usize = 3;
/// pueue writes all tasks at each change, so that a hundred thousand of them would take days.
const PUEUE_RUNS: usize = 1_000;

pub fn measure(bench: &mut Bench) {
    for start in 0..STARTS {
        for build in bench.builds(start) {
            let daemon = Daemon::start(&build, &bench.directory(build.name), &[]);
            daemon.process.settled_bytes();
            bench.add("memory_idle", build.name, daemon.process.resident_mib());
        }
    }
    for build in bench.builds(0) {
        let bytes = std::fs::metadata(&build.binary).unwrap().len();
        bench.add("binary", build.name, bytes as f64 / f64::from(1 << 20));
        let daemon = Daemon::start(&build, &bench.directory(build.name), &[]);
        daemon.request("PUT", "/v1/queues/load", &format!(r#"{{"slots":{SLOTS},"paused":true}}"#));
        let count = bench.count(RUNS);
        submit(&daemon, "load", 8, Until::Answered(count), || ());
        run_all(&daemon, "load");
        daemon.process.settled_bytes();
        bench.add("memory_runs", build.name, daemon.process.resident_mib());
    }
    if let Some(program) = bench.peer(PUEUE) {
        let (daemon, pueue) = start_pueue(&program, &bench.directory(PUEUE));
        bench.add("memory_idle", PUEUE, daemon.resident_mib());
        done(pueue().args(["parallel", &SLOTS.to_string()]));
        let count = bench.count(PUEUE_RUNS);
        (0..count).for_each(|_| drop(done(pueue().args(["add", "--", "true"]))));
        wait_pueue(&pueue, count);
        bench.add("memory_runs_1000", PUEUE, daemon.resident_mib());
    }
}
