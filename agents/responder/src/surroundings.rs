//! What is around the responder and must never be blocked: without it, nobody could undo.
//!
//! What the host itself is comes from `/proc` and `/etc/resolv.conf` of the network namespace that
//! the process is in. An established connection to one of the operators' ports ([`connected`]) is
//! taken for the operator's, whoever made it: who can log in is not kept out by an address.

pub(crate) mod connected;

use crate::Network;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// Networks to be left alone, and what each is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    found: BTreeMap<Network, String>,
}

impl Surroundings {
    /// From networks and what they are.
    #[must_use]
    pub fn of(found: impl IntoIterator<Item = (Network, String)>) -> Self {
        Self { found: found.into_iter().collect() }
    }

    /// What shares an address with a network.
    #[must_use]
    pub fn find(&self, with: &Network) -> Option<(Network, &str)> {
        let (network, what) = self.found.iter().find(|(network, _)| network.overlaps(with))?;
        Some((*network, what))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Adds an address.
    pub fn add(&mut self, address: IpAddr, what: &str) {
        self.found.entry(Network::host(address)).or_insert_with(|| what.to_owned());
    }

    /// What the host is, and whom it needs, with `root` for `/`.
    #[must_use]
    pub fn look(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
        let mut around = Self::default();
        for address in own_v4(&read("proc/net/fib_trie")) {
            around.add(address, "an address of this host");
        }
        for address in own_v6(&read("proc/net/if_inet6")) {
            around.add(address, "an address of this host");
        }
        let (v4, v6) = (read("proc/net/route"), read("proc/net/ipv6_route"));
        for address in gateways_v4(&v4).chain(gateways_v6(&v6)) {
            around.add(address, "a gateway");
        }
        for address in nameservers(&read("etc/resolv.conf")) {
            around.add(address, "a DNS server");
        }
        let api = std::env::var("KUBERNETES_SERVICE_HOST").ok();
        if let Some(address) = api.and_then(|host| host.parse().ok()) {
            around.add(address, "the Kubernetes API");
        }
        around
    }
}

/// Local addresses in the kernel's table of IPv4 routes.
fn own_v4(trie: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in trie.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.contains("/32 host LOCAL") {
            found.extend(last);
        }
    }
    found
}

fn own_v6(table: &str) -> Vec<IpAddr> {
    let address = |line: &str| hex_v6(line.split_whitespace().next()?);
    table.lines().filter_map(address).collect()
}

/// Sixteen bytes in hexadecimal, in the order of the address.
fn hex_v6(text: &str) -> Option<IpAddr> {
    let bits = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(IpAddr::V6(Ipv6Addr::from_bits(bits)))
}

/// Four bytes in hexadecimal, as a number of this machine.
fn native_v4(text: &str) -> Option<Ipv4Addr> {
    let number = u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 8)?;
    Some(Ipv4Addr::from(number.to_ne_bytes()))
}

fn gateways_v4(table: &str) -> impl Iterator<Item = IpAddr> {
    let gateway = |line: &str| native_v4(line.split_whitespace().nth(2)?);
    table.lines().filter_map(gateway).filter(|a| !a.is_unspecified()).map(IpAddr::V4)
}

fn gateways_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    let gateway = |line: &str| hex_v6(line.split_whitespace().nth(4)?);
    table.lines().filter_map(gateway).filter(|a| !a.is_unspecified())
}

fn nameservers(conf: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let address = line.trim().strip_prefix("nameserver")?.trim();
        address.split('%').next()?.parse().ok()
    };
    conf.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                        \x20    |-- 192.0.2.7\n        /32 host LOCAL\n     |-- 192.0.2.255\n        \
                        /32 link BROADCAST\n";
    const ROUTE: &str = "Iface\tDestination\tGateway\tFlags\neth0\t00000000\t010200C0\t0003\n\
                         eth0\t000200C0\t00000000\t0001\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn own_addresses_gateways_and_servers_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/net/fib_trie", TRIE);
        write("proc/net/route", ROUTE);
        write("proc/net/if_inet6", "20010db8000000000000000000000007 02 40 00 80 eth0\n");
        write("etc/resolv.conf", "search x\nnameserver 198.51.100.53\nnameserver fe80::1%eth0\n");
        let around = Surroundings::look(dir.path());
        for (address, what) in [
            ("192.0.2.7", "an address of this host"),
            ("2001:db8::7", "an address of this host"),
            ("192.0.2.1", "a gateway"),
            ("198.51.100.53", "a DNS server"),
        ] {
            let found = around.find(&Network::host(address.parse().unwrap()));
            assert_eq!(found.map(|(_, what)| what), Some(what), "{address}");
        }
        for address in ["192.0.2.255", "203.0.113.10", "0.0.0.0"] {
            assert_eq!(around.find(&Network::host(address.parse().unwrap())), None, "{address}");
        }
    }

    #[test]
    fn this_machine_has_an_address() {
        let around = Surroundings::look(Path::new("/"));
        assert!(around.find(&"127.0.0.0/8".parse().unwrap()).is_some(), "{around:?}");
    }
}
