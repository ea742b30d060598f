//! What was counted, in words: category, techniques, and against which baseline.

use crate::{
    features::{
        dns::{Name, Part, Runs},
        flow::{Connection, Does, Heard, Strange},
    },
    patrol::{ModelSays, Sign},
};
use magsentinel_bus_schema::Level;

const TUNNELS: &[&str] = &["T1071.004", "T1572"];
const GENERATES: &[&str] = &["T1568.002"];
const BEACONS: &[&str] = &["T1071", "T1029"];
const SCANS_PORTS: &[&str] = &["T1046"];
const SCANS_HOSTS: &[&str] = &["T1046", "T1595.001"];
const RARE: &[&str] = &["T1071"];
const UPLOADS: &[&str] = &["T1048"];

/// What the model recognises in a host part.
pub(super) const TUNNEL: ModelSays<'static> =
    ModelSays { category: "dns_tunnel", techniques: TUNNELS, what: "data in a name" };

/// What the model recognises in a registered name.
pub(super) const GENERATED: ModelSays<'static> =
    ModelSays { category: "dga", techniques: GENERATES, what: "generated name" };

pub(super) fn runs(domain: &str, runs: Runs) -> Sign {
    let Runs { data, hosts } = runs;
    Sign {
        level: Level::Medium,
        category: "dns_tunnel",
        techniques: TUNNELS,
        reason: format!(
            "{data:.0} of the latest names below {domain} hold data, remarkable from 3 on; \
             {hosts:.0} different ones within two hours"
        ),
    }
}

pub(super) fn guesses(names: f32) -> Sign {
    Sign {
        level: Level::Medium,
        category: "dga",
        techniques: GENERATES,
        reason: format!(
            "{names:.0} registered names that do not exist within minutes, remarkable from 14 on"
        ),
    }
}

pub(super) fn beacon(heard: Heard, flow: &Connection<'_>) -> Sign {
    let Heard { period_s, turns, jitter, hours } = heard;
    Sign {
        level: Level::Medium,
        category: "beaconing",
        techniques: BEACONS,
        reason: format!(
            "{turns} times every {period_s:.0} s to {}:{}, for {hours:.1} hours; gaps differ by \
             {:.0} %, those of people by 100 and more; as many bytes each time",
            flow.dst,
            flow.port,
            100.0 * jitter
        ),
    }
}

pub(super) fn calls(calls: f32, flow: &Connection<'_>) -> Sign {
    Sign {
        level: Level::Medium,
        category: "beaconing",
        techniques: BEACONS,
        reason: format!(
            "{calls:.0} calls of {}:{} within minutes, none answered, remarkable from 60 on",
            flow.dst, flow.port
        ),
    }
}

pub(super) fn does(does: Does, flow: &Connection<'_>) -> Sign {
    match does {
        Does::ScansPorts { ports } => Sign {
            level: Level::Medium,
            category: "port_scan",
            techniques: SCANS_PORTS,
            reason: format!(
                "{ports:.0} ports of {} and few others tried in vain within minutes, remarkable \
                 from 12 on",
                flow.dst
            ),
        },
        Does::ScansHosts { hosts } => Sign {
            level: Level::Medium,
            category: "network_scan",
            techniques: SCANS_HOSTS,
            reason: format!(
                "{hosts:.0} hosts tried in vain within minutes, now at port {}, remarkable from 10 \
                 on",
                flow.port
            ),
        },
        Does::UploadsOddly { megabytes, deviations } => Sign {
            level: Level::Medium,
            category: "upload_burst",
            techniques: UPLOADS,
            reason: format!(
                "{megabytes:.0} MB sent within the hour, {deviations:.0} deviations above this \
                 source's usual hour, at an hour at which it never works"
            ),
        },
    }
}

pub(super) fn strange(strange: Strange, flow: &Connection<'_>, process: &str) -> Sign {
    let Strange { connections, destinations } = strange;
    let process: String = process.chars().take(80).collect();
    Sign {
        level: Level::Medium,
        category: "rare_destination",
        techniques: RARE,
        reason: format!(
            "{process} talks to {}:{}; its {connections} connections before went to about \
             {destinations:.0} networks",
            flow.dst, flow.port
        ),
    }
}

/// What of a name the model saw.
pub(super) fn name_reasons(name: &Name, part: Option<Part>, reasons: &mut Vec<String>) {
    let (what, text) = match part {
        Some(Part::Host) => ("host part", name.host()),
        Some(Part::Label) => ("registered label", name.label()),
        None => return,
    };
    let count = |of: fn(&u8) -> bool| text.as_bytes().iter().filter(|byte| of(byte)).count();
    let vowels = count(|byte| b"aeiouy".contains(byte));
    let digits = count(u8::is_ascii_digit);
    let letters = count(u8::is_ascii_alphabetic);
    let length = text.chars().count();
    reasons.push(format!(
        "{what} has {length} characters: {vowels} vowels in {letters} letters, {digits} digits"
    ));
    if name.is_cut() {
        reasons.push("the name is longer than DNS allows: its end was looked at".to_owned());
    }
}
