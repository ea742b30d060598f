//! Who is connected to a port of the operators.
//!
//! Asked right before something takes effect, so the kernel is asked by netlink (`sock_diag`): a
//! fifth of a millisecond. `/proc/net/tcp` tells the same in 5 ms and more for each family, since it
//! takes a lock for each place of the host's table of connections, however few there are. Where a
//! kernel has no `sock_diag`, it is read all the same.
//!
//! Numbers are those of `linux/sock_diag.h` and `linux/inet_diag.h`.

use crate::kernel::{DONE, DUMP, ERROR, Link, REQUEST, code, message, refused, said};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// Kind of a request, and of each answer to it.
const BY_FAMILY: u16 = 20;
const V4: u8 = 2;
const V6: u8 = 10;
const TCP: u8 = 6;
const ESTABLISHED: u32 = 1 << 1;

/// Tells who is connected.
pub(crate) struct Connected {
    link: Option<Link>,
}

impl Connected {
    /// In the network namespace of this process.
    pub(crate) fn open() -> Self {
        let link = Link::open(NETLINK_SOCK_DIAG);
        let why =
            |error: &std::io::Error| tracing::info!(%error, "connections are read from /proc");
        Self { link: link.inspect_err(why).ok() }
    }

    /// The far ends of established connections to these ports of this host.
    pub(crate) fn to(&mut self, ports: &[u16]) -> Vec<IpAddr> {
        if let Some(link) = &mut self.link {
            match asked(link, ports) {
                Ok(found) => return found,
                Err(error) => {
                    tracing::info!(error, "connections are read from /proc from now on");
                    self.link = None;
                }
            }
        }
        listed(Path::new("/"), ports)
    }
}

fn asked(link: &mut Link, ports: &[u16]) -> Result<Vec<IpAddr>, String> {
    // The kernel chooses by one port; of several, we do.
    let port = match ports {
        [] => return Ok(Vec::new()),
        [port] => *port,
        _ => 0,
    };
    let mut found = Vec::new();
    for family in [V4, V6] {
        let seq = link.next();
        let mut buffer = Vec::new();
        message(&mut buffer, (BY_FAMILY, REQUEST | DUMP, seq), |buffer| {
            buffer.extend_from_slice(&[family, TCP, 0, 0]);
            buffer.extend_from_slice(&ESTABLISHED.to_ne_bytes());
            buffer.extend_from_slice(&port.to_be_bytes());
            // Any other port, any addresses, any interface; no socket in particular.
            buffer.extend_from_slice(&[0; 38]);
            buffer.extend_from_slice(&[0xff; 8]);
        });
        link.send(&buffer)?;
        'answers: loop {
            let answer = link.receive()?;
            for said in said(&answer).filter(|said| said.seq == seq) {
                match said.kind {
                    DONE => break 'answers,
                    ERROR => return Err(refused(code(&said))),
                    _ => found.extend(far_end(said.body, ports)),
                }
            }
        }
    }
    Ok(found)
}

/// The far end of a connection that the kernel tells of, if it is to one of these ports.
fn far_end(body: &[u8], ports: &[u16]) -> Option<IpAddr> {
    let port = u16::from_be_bytes(body.get(4..6)?.try_into().ok()?);
    if !ports.contains(&port) {
        return None;
    }
    let address: [u8; 16] = body.get(24..40)?.try_into().ok()?;
    match (*body.first()?, address) {
        (V4, [a, b, c, d, ..]) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        (V6, octets) => Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()),
        _ => None,
    }
}

/// The same from `/proc`, with `root` for `/`.
fn listed(root: &Path, ports: &[u16]) -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let files = ["proc/net/tcp", "proc/net/tcp6"];
    files.iter().flat_map(|path| peers(&read(path), ports)).collect()
}

/// Far ends of established connections (state 01) to these local ports.
fn peers(table: &str, ports: &[u16]) -> Vec<IpAddr> {
    let peer = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
        let port = u16::from_str_radix(local.split_once(':')?.1, 16).ok()?;
        let wanted = state == "01" && ports.contains(&port);
        let address = remote.split_once(':')?.0;
        wanted.then(|| native(address)).flatten()
    };
    table.lines().filter_map(peer).collect()
}

/// An address of `/proc/net/tcp` or `/proc/net/tcp6`: words of four bytes, each as a number of
/// this machine.
fn native(text: &str) -> Option<IpAddr> {
    let word = |n: usize| super::native_v4(text.get(n * 8..n * 8 + 8)?);
    if text.len() == 8 {
        return word(0).map(IpAddr::V4);
    }
    let add = |bits: u128, n| Some(bits << 32 | u128::from(u32::from(word(n)?)));
    let bits = (0..4).try_fold(0_u128, add)?;
    (text.len() == 32).then(|| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const TABLE: &str = "  sl  local_address rem_address   st\n\
        0: 070200C0:0016 097100CB:C350 01 0\n 1: 070200C0:0050 0A7100CB:C350 01 0\n\
        2: 00000000:0016 00000000:0000 0A 0\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn far_ends_are_read_from_proc() {
        let mapped = "0000000000000000FFFF0000";
        let v6 = format!("0: {mapped}070200C0:0016 {mapped}0B7100CB:C350 01 0\n");
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/net")).unwrap();
        std::fs::write(dir.path().join("proc/net/tcp"), TABLE).unwrap();
        std::fs::write(dir.path().join("proc/net/tcp6"), v6).unwrap();
        let found = listed(dir.path(), &[22]);
        let want: Vec<IpAddr> = ["203.0.113.9", "203.0.113.11"].map(|a| a.parse().unwrap()).into();
        assert_eq!(found, want);
    }

    #[test]
    fn the_kernel_tells_who_is_connected_and_to_which_port() {
        let mut connected = Connected::open();
        let mut held = Vec::new();
        for (here, there) in [("127.0.0.1", "127.0.0.1"), ("[::]", "127.0.0.1"), ("[::1]", "[::1]")]
        {
            // A host may have no IPv6.
            let Ok(listener) = TcpListener::bind(format!("{here}:0")) else { continue };
            let port = listener.local_addr().unwrap().port();
            assert!(connected.to(&[port]).is_empty(), "nobody has come yet");
            let client = TcpStream::connect(format!("{there}:{port}")).unwrap();
            held.push((listener.accept().unwrap(), client));
            let there: IpAddr = there.trim_matches(['[', ']']).parse().unwrap();
            // Of one port the kernel chooses, of several we do; and `/proc` says the same.
            assert_eq!(connected.to(&[port]), [there], "{here}");
            assert_eq!(connected.to(&[1, port]), [there], "{here}");
            assert_eq!(listed(Path::new("/"), &[port]), [there], "{here}");
            assert!(connected.to(&[1]).is_empty(), "{here}");
        }
        assert!(!held.is_empty() && connected.link.is_some());
    }
}
