//! Networks: what an address is blocked with, and what is never blocked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An address and the length of its prefix in bits. Bits beyond the prefix are zero, and an
/// IPv4 address mapped into IPv6 is kept as the IPv4 address that it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Networks that are never blocked, whatever the configuration says, and what they are.
pub const ALWAYS_PROTECTED: &[(Network, &str)] = &[
    (Network::v4([0, 0, 0, 0], 8), "unspecified"),
    (Network::v4([127, 0, 0, 0], 8), "loopback"),
    (Network::v4([169, 254, 0, 0], 16), "link-local"),
    (Network::v4([224, 0, 0, 0], 4), "multicast"),
    (Network::v4([255, 255, 255, 255], 32), "broadcast"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
    // RFC 6052: all of IPv4 lies behind this one prefix, and so within one /64.
    (Network::v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64"),
];

/// Prefix that an IPv6 address is blocked with: one subscriber has at least a /64 and may take
/// any address in it (RFC 6177).
const V6_PREFIX: u8 = 64;

impl Network {
    const fn v4(octets: [u8; 4], prefix: u8) -> Self {
        let [a, b, c, d] = octets;
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
    }

    const fn v6(segments: [u16; 8], prefix: u8) -> Self {
        let [a, b, c, d, e, f, g, h] = segments;
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
    }

    /// What an address is blocked with: an IPv4 address alone, an IPv6 address with its /64.
    #[must_use]
    pub fn blocked_with(address: IpAddr) -> Self {
        match address.to_canonical() {
            v4 @ IpAddr::V4(_) => Self { address: v4, prefix: 32 },
            IpAddr::V6(v6) => {
                let bits = v6.to_bits() & mask(128, V6_PREFIX);
                Self { address: IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix: V6_PREFIX }
            }
        }
    }

    /// An address alone.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: bits(address).1 }
    }

    /// A network by its first address and the length of its prefix.
    ///
    /// # Errors
    /// When the prefix is longer than the address, or the address has bits beyond it.
    pub fn of(address: IpAddr, length: u8) -> Result<Self, String> {
        format!("{address}/{length}").parse()
    }

    /// The network of so many bits around an address; none where it has fewer bits.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        let (number, width) = bits(address);
        if length > width {
            return None;
        }
        let first = number & mask(width, length);
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(first).ok()?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(first)),
        };
        Some(Self { address, prefix: length })
    }

    /// Its first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.address
    }

    /// Length of its prefix in bits.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.prefix
    }

    /// Whether it is what one address is blocked with: an IPv4 address or the /64 of an IPv6
    /// one.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix == if self.is_v4() { 32 } else { V6_PREFIX }
    }

    /// How many subscribers it may hold at most: addresses of IPv4, /64s of IPv6.
    #[must_use]
    pub fn collateral(&self) -> u64 {
        let single = if self.is_v4() { 32 } else { V6_PREFIX };
        1_u64.checked_shl(u32::from(single.saturating_sub(self.prefix))).unwrap_or(u64::MAX)
    }

    /// Its last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let (number, width) = bits(self.address);
        let last = number | (mask(width, width) & !mask(width, self.prefix));
        match self.address {
            IpAddr::V4(_) => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(last).unwrap_or(u32::MAX)))
            }
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(last)),
        }
    }

    /// The network from a first to a last address, if there is one that is exactly that.
    #[must_use]
    pub fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let ((low, width), (high, other)) = (bits(first), bits(last));
        let size = high.checked_sub(low).filter(|_| width == other)?;
        let length = u32::from(width) - (128 - size.leading_zeros());
        let found = Self { address: first, prefix: u8::try_from(length).ok()? };
        (low & !mask(width, found.prefix) == 0 && found.last() == last).then_some(found)
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (left, width) = bits(self.address);
        let (right, other_width) = bits(other.address);
        let mask = mask(width, self.prefix.min(other.prefix));
        width == other_width && left & mask == right & mask
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }
}

/// An address as a number, and its width in bits.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// The upper `prefix` of `width` bits.
fn mask(width: u8, prefix: u8) -> u128 {
    let ones = |n: u8| if n >= 128 { u128::MAX } else { (1_u128 << n) - 1 };
    ones(width) & !ones(width.saturating_sub(prefix))
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, width) = bits(self.address);
        if self.prefix == width {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no network: write an address like 192.0.2.7, or 10.0.0.0/8");
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (number, width) = bits(address);
        let prefix = prefix.map_or(Ok(width), |p| p.parse::<u8>().map_err(|_| wrong()))?;
        if prefix > width {
            return Err(wrong());
        }
        if number & !mask(width, prefix) != 0 {
            return Err(format!(
                "{text:?} is no network: the address has bits beyond the prefix of {prefix}"
            ));
        }
        // A mapped IPv4 network would never match, because addresses are compared unmapped.
        match address.to_canonical() {
            v4 @ IpAddr::V4(_) if width == 128 && prefix >= 96 => {
                Ok(Self { address: v4, prefix: prefix - 96 })
            }
            _ => Ok(Self { address, prefix }),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written_back() {
        for (text, written) in [
            ("192.0.2.7", "192.0.2.7"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), written);
        }
        for text in ["", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "::/129", "host"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_stands_for_its_64_and_a_mapped_one_for_its_ipv4() {
        let blocked = |text: &str| Network::blocked_with(text.parse().unwrap()).to_string();
        assert_eq!(blocked("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(blocked("::ffff:192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn a_network_is_known_by_its_ends() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.7", "::/0", "2001:db8::/48", "::1"] {
            let network: Network = text.parse().unwrap();
            assert_eq!(Network::between(network.first(), network.last()), Some(network), "{text}");
        }
        let between = |a: &str, b: &str| Network::between(a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(between("10.0.0.0", "10.0.0.2"), None);
        assert_eq!(between("10.0.0.1", "10.0.0.2"), None);
        assert_eq!(between("10.0.0.2", "10.0.0.1"), None);
        assert_eq!("10.0.0.0/24".parse::<Network>().unwrap().collateral(), 256);
        assert_eq!("2001:db8::/48".parse::<Network>().unwrap().collateral(), 65_536);
    }

    #[test]
    fn networks_overlap_exactly_when_they_share_an_address() {
        for (left, right, shared) in [
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("2001:db8:1:2::/64", "2001:db8:1:2::53", true),
            ("2001:db8:1:2::/64", "2001:db8:1:3::53", false),
            ("::/0", "10.0.0.1", false),
        ] {
            let (left, right): (Network, Network) = (left.parse().unwrap(), right.parse().unwrap());
            assert_eq!(left.overlaps(&right), shared, "{left} {right}");
            assert_eq!(right.overlaps(&left), shared, "{right} {left}");
        }
    }
}
