//! The hub's configuration by which a box can harm itself alone: each in an account of its own.
//!
//! Permissions of users in one account are not enough. Who may ask the hub for anything names the subject that its answer goes
//! to, and the hub looks whether that may be published to for nobody: a box could have its own event sent to it again under
//! another box's name, or as work. In an account of its own it reaches nothing by that.

use std::fmt::Write as _;

use crate::args::BoxAccount;
use crate::hub::{BOXES, EVENTS, EVENTS_PREFIX, WORK};
use crate::work::consumers;

/// The account that has the streams.
const HUB: &str = "HUB";

/// The part of a nats-server's configuration that is called `accounts`.
pub fn text(boxes: &[BoxAccount]) -> String {
    let mut out = format!(
        "# Passwords are taken from nats-server's environment.\n\
         accounts {{\n  {HUB} {{\n    jetstream: enabled\n    users: [ {{ user: admin, password: $RB_ADMIN }} ]\n    exports: [\n"
    );
    // Instances are quoted, because some would be read as numbers. Whose it is stands in the subject, and is the name of the account.
    for (subject, place) in of_instance("*").into_iter().zip([3, 3, 8]) {
        let _ = writeln!(out, "      {{ service: \"{subject}\", account_token_position: {place} }}");
    }
    let mut names: Vec<String> = boxes.iter().flat_map(|one| consumers(Some(&one.instance), &one.tags)).collect();
    names.sort();
    names.dedup();
    for name in &names {
        let takes = |one: &&BoxAccount| consumers(Some(&one.instance), &one.tags).contains(name);
        let who: Vec<String> = boxes.iter().filter(takes).map(|one| format!("\"{}\"", one.instance)).collect();
        let who = who.join(", ");
        let [next, acks @ ..] = of_consumer(name);
        let _ = writeln!(out, "      {{ service: \"{next}\", response_type: stream, accounts: [{who}] }}");
        for ack in acks {
            let _ = writeln!(out, "      {{ service: \"{ack}\", accounts: [{who}] }}");
        }
    }
    out += "    ]\n    imports: [\n";
    for BoxAccount { instance, .. } in boxes {
        let _ = writeln!(out, "      {{ service: {{ account: \"{instance}\", subject: \"rb.ctl.{instance}.>\" }} }}");
    }
    out += "    ]\n  }\n";
    for BoxAccount { instance, tags } in boxes {
        let _ = write!(
            out,
            "  \"{instance}\" {{\n    users: [ {{ user: \"{instance}\", password: $RB_{instance} }} ]\n    \
             exports: [ {{ service: \"rb.ctl.{instance}.>\", accounts: [{HUB}] }} ]\n    imports: [\n"
        );
        let own = of_instance(instance).into_iter();
        for subject in own.chain(consumers(Some(instance), tags).iter().flat_map(|name| of_consumer(name))) {
            let _ = writeln!(out, "      {{ service: {{ account: {HUB}, subject: \"{subject}\" }} }}");
        }
        out += "    ]\n  }\n";
    }
    out + "}\n"
}

fn of_instance(instance: &str) -> [String; 3] {
    [
        format!("{EVENTS_PREFIX}.{instance}.>"),
        format!("$KV.{BOXES}.{instance}"),
        format!("$JS.API.DIRECT.GET.{EVENTS}.{EVENTS_PREFIX}.{instance}.>"),
    ]
}

/// Acknowledgements have two forms of subject; newer servers may use the longer one.
fn of_consumer(name: &str) -> [String; 3] {
    [
        format!("$JS.API.CONSUMER.MSG.NEXT.{WORK}.{name}"),
        format!("$JS.ACK.{WORK}.{name}.>"),
        format!("$JS.ACK.*.*.{WORK}.{name}.>"),
    ]
}
