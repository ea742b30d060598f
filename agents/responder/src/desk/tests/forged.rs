//! Whatever an attacker makes of an action, nobody is blocked who must not be.

use super::*;
use crate::Network;

const PROTECTED: &[&str] = &[
    "127.0.0.1",
    "::1",
    "169.254.169.254",
    "224.0.0.251",
    "255.255.255.255",
    "0.0.0.0",
    "::",
    "fe80::1",
    "ff02::1",
    "64:ff9b::cb00:7109",
    // Listed, and around the responder.
    "10.20.30.40",
    "192.0.2.53",
    "2001:db8:5::1",
    "198.51.100.1",
    "2001:db8:6:1::1",
];

fn strict() -> Desk {
    let mut policy = enforcing();
    policy.approval.verbs.clear();
    policy.budget.targets_per_minute = 1_000_000;
    policy.budget.targets_max = 1_000_000;
    let listed = ["10.0.0.0/8", "192.0.2.53", "2001:db8:5::/48"];
    policy.never_block.networks = listed.map(|n| n.parse().unwrap()).to_vec();
    let mut desk = Desk::new(Arc::new(policy), REACH, 100_000);
    let around = ["198.51.100.1", "2001:db8:6:1::1"]
        .map(|address| (address.parse::<Network>().unwrap(), "a gateway".to_owned()));
    drop(desk.surrounded(Surroundings::of(around), at(1)));
    desk
}

/// A protected address in another form of itself, or an address that would be blocked with it.
fn disguised(address: &str, n: usize) -> (String, Effect) {
    let parsed: std::net::IpAddr = address.parse().unwrap();
    let text = match (parsed, n % 3) {
        (std::net::IpAddr::V4(v4), 0) => v4.to_ipv6_mapped().to_string(),
        (std::net::IpAddr::V6(v6), 0) => {
            let mut octets = v6.octets();
            // Another address of the same /64.
            octets[15] ^= u8::try_from(n % 251).unwrap();
            std::net::Ipv6Addr::from(octets).to_string()
        }
        _ => address.to_owned(),
    };
    let address: std::net::IpAddr = text.parse().unwrap();
    let effect = match n % 5 {
        0 => Effect::RateLimit { address },
        1 => {
            let canonical = address.to_canonical();
            let length = if canonical.is_ipv4() { 24 } else { 56 };
            let network = Network::around(canonical, length).unwrap();
            Effect::BlockPrefix { address: network.first(), length }
        }
        _ => Effect::BlockAddress { address },
    };
    (text, effect)
}

/// An action on somebody who may be blocked, but that is not evidenced, or not of now.
fn unevidenced(n: usize) -> Action {
    let victim = format!("203.0.113.{}", n % 250);
    let mut forged = block(&victim);
    match n % 9 {
        // Named in a header, or in the text of a request.
        0 => forged.target.trust = Trust::Claimed,
        1 => forged.target.value = format!("198.18.0.{}", n % 250),
        2 => forged.target.value = format!("GET /?x={victim} HTTP/1.1"),
        3 => forged.target.class = [Class::Host, Class::User, Class::Resource][n % 3],
        4 => forged.replayed = true,
        5 => forged.evidence_ts = at(0).minus(Duration::from_secs(601 + n as u64)),
        6 => forged.evidence_ts = at(120 + n as u64),
        7 => forged.ttl_s = [0, 86_401, u64::MAX][n % 3],
        _ => forged.target.value = format!("{victim}/24"),
    }
    forged
}

#[test]
fn ten_thousand_forged_actions_block_nobody() {
    let mut desk = strict();
    for n in 0..10_000_usize {
        let mut forged = if n % 2 == 0 {
            let (text, effect) = disguised(PROTECTED[n / 2 % PROTECTED.len()], n / 2);
            action(effect, &text)
        } else {
            unevidenced(n / 2)
        };
        forged.id = Id::derived(&["forged", &n.to_string()]);
        let turn = ask(&mut desk, &forged, at(1));
        assert!(turn.changes.is_empty(), "{forged:?}");
        assert_eq!(told(&turn).0, OutcomeStatus::Refused, "{forged:?}");
    }
    assert!(desk.desired().is_empty());
    // The same desk does block who is evidenced.
    assert_eq!(told(&ask(&mut desk, &block("203.0.113.9"), at(1))).0, OutcomeStatus::Applied);
}
