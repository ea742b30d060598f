//! What somebody is remembered by: one key for all names and addresses that are one's own.
//!
//! An entity is told as it was named; a key is only compared. Whoever has an IPv6 network of its
//! own changes addresses at will, so a network is one client. The loopback address is another
//! client on every host. An account is written with its domain or without, in any case.

use crate::{Class, Fields, entity};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ends of domains that no public address has: what stands before them is an account there.
const LOCAL: [&str; 6] = [".local", ".lan", ".internal", ".corp", ".home", ".localdomain"];

/// The key of an entity of a class that a body names by `value`.
#[must_use]
pub fn of(class: Class, value: &str, body: &Fields) -> String {
    match class {
        Class::Client => client(value, entity::value_of(Class::Host, body).as_deref()),
        Class::User => account(value),
        _ => value.to_owned(),
    }
}

/// The key of a client's address: the network of an IPv6 address (its first 64 bits), the address
/// and `host` of a loopback one. A port is left out. What is no address is compared in lower case.
#[must_use]
pub fn client(value: &str, host: Option<&str>) -> String {
    let Some(address) = address(value) else { return value.trim().to_lowercase() };
    match address {
        address if address.is_loopback() => {
            let here = Ipv4Addr::LOCALHOST;
            host.map_or_else(|| here.to_string(), |host| format!("{here}@{}", host.to_lowercase()))
        }
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) if address.is_unicast_link_local() => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The key of an account: `CORP\ann`, `ann@corp.local`, `ann@CORP` and `ANN` are one. What stands
/// at a public domain is a mail address and keeps it: two people may be `ann` there.
#[must_use]
pub fn account(value: &str) -> String {
    let name = value.trim().to_lowercase();
    let name = match name.split_once('\\') {
        Some((domain, name)) if !domain.is_empty() && !name.is_empty() => name.to_owned(),
        _ => name,
    };
    let local = |domain: &str| {
        !domain.is_empty()
            && (!domain.contains('.') || LOCAL.iter().any(|end| domain.ends_with(end)))
    };
    match name.rsplit_once('@') {
        Some((bare, domain)) if !bare.is_empty() && local(domain) => bare.to_owned(),
        _ => name,
    }
}

/// An address however it is written: in brackets, with a port, with a zone.
fn address(value: &str) -> Option<IpAddr> {
    let value = value.trim();
    let bare = value.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    let address = bare.parse().ok();
    address.or_else(|| value.parse::<SocketAddr>().ok().map(|s| s.ip())).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_network_is_one_client_and_every_host_has_its_own_loopback() {
        for (value, want) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::9", "2001:db8:1:2::/64"),
            ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
            ("fe80::1%eth0", "fe80::1"),
            ("WS-7", "ws-7"),
        ] {
            assert_eq!(client(value, Some("h")), want, "{value}");
        }
        assert_eq!(client("::1", Some("A")), client("127.0.0.1", Some("a")));
        assert_ne!(client("::1", Some("a")), client("::1", Some("b")));
        assert_eq!(client("::1", None), "127.0.0.1");
    }

    #[test]
    fn an_account_is_one_however_its_domain_is_written() {
        for value in ["ann", "ANN", "CORP\\ann", "ann@corp", "Ann@corp.local"] {
            assert_eq!(account(value), "ann", "{value}");
        }
        for value in ["ann@example.org", "ann@example.com", "\\ann", "@corp", "corp\\"] {
            assert_eq!(account(value), value, "{value}");
        }
    }

    #[test]
    fn a_key_is_of_its_class() {
        let body = json!({"host": "h", "src_ip": "::1"});
        let body = Fields(body.as_object().cloned().unwrap_or_default());
        assert_eq!(of(Class::Client, "::1", &body), "127.0.0.1@h");
        assert_eq!(of(Class::User, "CORP\\ann", &body), "ann");
        assert_eq!(of(Class::Session, "S\\1", &body), "S\\1");
    }
}
