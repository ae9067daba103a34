//! Submits, each on the medium before its answer, beside two queues that flush before they answer; and what the daemon
//! holds in the burst.

use std::path::Path;

use crate::bench::{Bench, Build, Contender};
use crate::closed_loop::{Exchange, Until, rate};
use crate::daemon::{Daemon, http, is_answer};
use crate::peers::{self, BEANSTALKD, REDIS, Server};

/// What is queued, by each in its own words.
pub const BODY: &str = r#"{"command":["true"],"queue":"held"}"#;
/// Connections, and the line of each.
const LOADS: [(usize, &str); 2] = [(1, "submit_1"), (64, "submit_64")];

pub fn measure(bench: &mut Bench) {
    for round in bench.rounds() {
        for (connections, key) in LOADS {
            for contender in bench.contenders(&[REDIS, BEANSTALKD], round) {
                let dir = bench.directory(contender.name());
                let rate = match &contender {
                    Contender::Build(build) => daemon(bench, build, &dir, connections),
                    Contender::Peer(REDIS, program) => {
                        let server = Server::redis(program, &dir);
                        let request = xadd();
                        let exchange = Exchange { request: request.as_bytes(), is_answer: peers::is_added };
                        peer(&server, connections, &exchange, bench)
                    }
                    Contender::Peer(_, program) => {
                        let server = Server::beanstalkd(program, &dir);
                        let request = format!("put 0 0 60 {}\r\n{BODY}\r\n", BODY.len());
                        let exchange = Exchange { request: request.as_bytes(), is_answer: peers::is_put };
                        peer(&server, connections, &exchange, bench)
                    }
                };
                bench.add(key, contender.name(), rate);
            }
        }
    }
}

fn xadd() -> String {
    let words = ["XADD", "runs", "*", "run", BODY];
    let words: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*5\r\n{words}")
}

fn peer(server: &Server, connections: usize, exchange: &Exchange, bench: &Bench) -> f64 {
    let connections = (0..connections).map(|_| server.connect()).collect();
    rate(connections, exchange, Until::Over(bench.span()), || ())
}

fn daemon(bench: &mut Bench, build: &Build, dir: &Path, connections: usize) -> f64 {
    let daemon = Daemon::start(build, dir, &[]);
    daemon.request("PUT", "/v1/queues/held", r#"{"paused":true}"#);
    let mut resident_mib = 0_f64;
    let rate = submit(&daemon, "held", connections, Until::Over(bench.span()), || {
        resident_mib = resident_mib.max(daemon.process.resident_mib());
    });
    if connections > 1 {
        bench.add("memory_burst", build.name, resident_mib);
        daemon.process.settled_bytes();
        bench.add("memory_burst_over", build.name, daemon.process.resident_mib());
    }
    rate
}

/// Submits runs that do nothing to a queue; answers how many a second.
pub fn submit(daemon: &Daemon, queue: &str, connections: usize, until: Until, tick: impl FnMut()) -> f64 {
    let request = http("POST", "/v1/runs", &BODY.replace("held", queue), "keep-alive");
    let exchange = Exchange { request: request.as_bytes(), is_answer };
    rate((0..connections).map(|_| daemon.connect()).collect(), &exchange, until, tick)
}
