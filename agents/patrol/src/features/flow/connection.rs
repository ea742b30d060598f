//! One connection, as the memory wants it.

use crate::body;
use magsentinel_bus_schema::Fields;
use std::net::IpAddr;

/// States of a connection that was never answered, or refused: Zeek's, Suricata's and Argus's.
const UNANSWERED: &[&str] =
    &["S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR", "new", "REQ", "S_", "S_RA", "S_R"];

/// Ports of services that ask again and again by design: time, names, addresses, discovery.
const CLOCKWORK_PORTS: &[u16] = &[53, 67, 68, 123, 137, 138, 161, 546, 547, 853, 1900, 5353, 5355];

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Who began it.
    pub src: &'a str,
    /// With whom.
    pub dst: &'a str,
    /// The same as an address, where it is one.
    pub address: Option<IpAddr>,
    /// The other side's port; 0 where there is none.
    pub port: u16,
    /// Transport.
    pub proto: &'a str,
    /// Bytes that went out.
    pub up: Option<u64>,
    /// Bytes that came back.
    pub down: Option<u64>,
    /// It was never answered, or refused.
    pub failed: bool,
    /// Whose it is.
    pub process: Option<&'a str>,
}

impl<'a> Connection<'a> {
    /// Reads a body. The error names what is wrong with it.
    pub fn read(body: &'a Fields) -> Result<Self, String> {
        let src = body::text(body, &["src_ip", "client", "client_ip", "ip", "host"])?;
        let dst = body::text(body, &["dst_ip", "dst", "dest_ip"])?;
        if src.is_none() && dst.is_none() {
            return Err("body has neither src_ip nor dst_ip: a flow event must name one".to_owned());
        }
        let dst = dst.unwrap_or_default();
        let address = dst.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let port = body::count(body, &["dst_port", "dest_port"])?;
        let state = body::text(body, &["conn_state"])?;
        Ok(Self {
            src: src.unwrap_or_default(),
            dst,
            address,
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0),
            proto: body::text(body, &["proto"])?.unwrap_or_default(),
            up: body::count(body, &["orig_bytes"])?,
            down: body::count(body, &["resp_bytes"])?,
            failed: state.is_some_and(|state| UNANSWERED.contains(&state)),
            process: body::text(body, &["process", "exe"])?,
        })
    }

    /// It goes out into the world: to an address that the internet routes.
    #[must_use]
    pub fn is_outward(&self) -> bool {
        match self.address {
            Some(IpAddr::V4(v4)) => {
                let [first, second, ..] = v4.octets();
                let shared = first == 100 && (64..128).contains(&second);
                let reserved = first == 0 || first >= 240 || shared;
                let near = v4.is_private() || v4.is_loopback() || v4.is_link_local();
                !(near || v4.is_multicast() || reserved)
            }
            Some(IpAddr::V6(v6)) => {
                // 2000::/3 is what is routed.
                v6.segments().first().is_some_and(|first| first >> 13 == 1)
            }
            None => false,
        }
    }

    /// It goes to many at once, which nobody answers by design.
    #[must_use]
    pub fn is_cast(&self) -> bool {
        match self.address {
            Some(IpAddr::V4(v4)) => v4.is_multicast() || v4.octets().last() == Some(&255),
            Some(IpAddr::V6(v6)) => v6.is_multicast(),
            None => false,
        }
    }

    /// It belongs to a service that asks again and again by design.
    #[must_use]
    pub fn is_clockwork(&self) -> bool {
        CLOCKWORK_PORTS.contains(&self.port) && self.proto != "tcp" || self.port == 853
    }

    /// It is TCP, as far as one knows.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.proto.is_empty() || self.proto.eq_ignore_ascii_case("tcp")
    }
}
