//! Addresses and names that an operator knows to be bad.

use crate::patrol::Sign;
use magsentinel_bus_schema::Level;
use std::{collections::HashSet, fs, net::IpAddr, path::Path};

/// Most lines of a list.
const LINES_MAX: usize = 1_000_000;
/// Largest list, in bytes.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A list, for looking up. Networks are held by their length, so that a look-up asks once for each
/// length that the list has.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// First address of a network as a number, and whether it is IPv6, by length of the prefix.
    networks: Vec<(u8, HashSet<(bool, u128)>)>,
    names: HashSet<String>,
}

/// An address as a number, and its width in bits.
fn bits(address: IpAddr) -> (u128, u8) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The first address of the network of `length` bits; `None` where an address has fewer.
fn first(address: IpAddr, length: u8) -> Option<(bool, u128)> {
    let (number, width) = bits(address);
    let rest = u32::from(width.checked_sub(length)?);
    Some((width == 128, number.checked_shr(rest).unwrap_or(0)))
}

impl Known {
    /// Reads a list; none is empty.
    pub(super) fn read(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else { return Ok(Self::default()) };
        let told = |why: String| format!("{}: {why}", path.display());
        let size = fs::metadata(path).map_err(|e| told(e.to_string()))?.len();
        if size > BYTES_MAX {
            return Err(told(format!("has {size} bytes, more than {BYTES_MAX}")));
        }
        let text = fs::read_to_string(path).map_err(|e| told(e.to_string()))?;
        let mut known = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if number > LINES_MAX {
                return Err(told(format!("has more than {LINES_MAX} lines")));
            }
            if !entry.is_empty() {
                known.add(entry).map_err(|why| told(format!("line {number}: {why}")))?;
            }
        }
        known.networks.sort_by_key(|(length, _)| *length);
        Ok(known)
    }

    fn add(&mut self, entry: &str) -> Result<(), String> {
        let (address, length) = match entry.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (entry, None),
        };
        match (address.parse::<IpAddr>(), length) {
            (Ok(address), None) => self.network(address, bits(address).1),
            (Ok(address), Some(length)) => {
                let length = length.parse().map_err(|_| format!("{entry:?} is no network"))?;
                // A network of everything is a slip of the pen, and would flag all.
                if length == 0 {
                    return Err(format!("{entry:?} is every address"));
                }
                self.network(address, length)
            }
            (Err(_), None) if is_name(entry) => {
                self.names.insert(entry.trim_matches('.').to_ascii_lowercase());
                Ok(())
            }
            _ => Err(format!("{entry:?} is no address, network or domain name")),
        }
    }

    fn network(&mut self, address: IpAddr, length: u8) -> Result<(), String> {
        let of = first(address, length)
            .ok_or_else(|| format!("{address} has fewer than {length} bits"))?;
        match self.networks.iter_mut().find(|(known, _)| *known == length) {
            Some((_, all)) => drop(all.insert(of)),
            None => self.networks.push((length, HashSet::from([of]))),
        }
        Ok(())
    }

    /// What the list says of an address.
    pub(super) fn address(&self, address: Option<IpAddr>) -> Option<Sign> {
        let address = address?;
        let listed = |(length, all): &(u8, HashSet<(bool, u128)>)| {
            first(address, *length).is_some_and(|first| all.contains(&first))
        };
        self.networks.iter().any(listed).then(|| Sign {
            level: Level::High,
            category: "known_bad_address",
            techniques: &["T1071"],
            reason: format!("{address} is on the list of known bad addresses"),
        })
    }

    /// What the list says of a name in lower case: it, or one above it, is listed.
    pub(super) fn name(&self, name: &str) -> Option<Sign> {
        if self.names.is_empty() {
            return None;
        }
        let above = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
        let listed = above.take(128).find(|name| self.names.contains(*name))?;
        Some(Sign {
            level: Level::High,
            category: "known_bad_name",
            techniques: &["T1071.004"],
            reason: format!("{listed} is on the list of known bad names"),
        })
    }
}

fn is_name(entry: &str) -> bool {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    entry.len() <= 253 && entry.contains('.') && entry.bytes().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn list(text: &str) -> Result<Known, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Known::read(Some(file.path()))
    }

    #[test]
    fn addresses_networks_and_names_below_are_known() {
        let known =
            list("# ours\n192.0.2.7 # c2\n198.51.100.0/24\n2001:db8:1::/48\nBad.Example\n\n")
                .unwrap();
        let has = |text: &str| known.address(text.parse().ok()).is_some();
        assert!(has("192.0.2.7") && has("::ffff:192.0.2.7") && has("198.51.100.9"));
        assert!(has("2001:db8:1:2::3"));
        assert!(!has("192.0.2.8") && !has("198.51.101.9") && !has("2001:db8:2::3"));
        let named = |name| known.name(name).is_some();
        assert!(named("bad.example") && named("a.b.bad.example"));
        assert!(!named("notbad.example") && !named("example"));
    }

    #[test]
    fn a_line_that_is_nothing_is_told_by_its_number() {
        for (text, line) in [
            ("192.0.2.7\n192.0.2.300/24\n", "line 2"),
            ("10.0.0.0/33", "line 1"),
            ("0.0.0.0/0", "every address"),
            ("not a name", "line 1"),
        ] {
            let why = list(text).unwrap_err();
            assert!(why.contains(line), "{why}");
        }
        assert!(Known::read(Some(Path::new("/nowhere/list"))).is_err());
    }
}
