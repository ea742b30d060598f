//! How soon after a decision the first packet of whom it is about is dropped.

use crate::{
    DEADLINE,
    network::{HERE, Neighbour},
    responses::{ask, block},
};
use magsentinel_runtime::{bus::Bus, clock};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::net::UdpSocket;

/// As many packets that do not arrive, one after the other, are dropped and not late.
const IN_A_ROW: usize = 20;

/// Has a neighbour send a packet from one of its addresses about every millisecond, decides to
/// block that address, and tells how long after the decision was published the first packet was
/// sent that did not arrive.
pub async fn first_dropped_after(bus: &Bus, neighbour: &Neighbour, from: &str) -> Duration {
    let socket = UdpSocket::bind((HERE, 0)).await.expect("a socket");
    let port = socket.local_addr().expect("it is bound").port();
    let sending = neighbour.sends(from, port);
    let begun = Instant::now();
    let mut arrived = BTreeSet::new();
    while arrived.is_empty() {
        assert!(begun.elapsed() < DEADLINE, "nothing arrives from {from}");
        arrived.extend(received(&socket).await);
    }
    let action = block(from, 3600);
    let decided = clock::now().micros();
    let (asking, mut asked) = (ask(bus, std::slice::from_ref(&action)), false);
    tokio::pin!(asking);
    loop {
        tokio::select! {
            () = &mut asking, if !asked => asked = true,
            packet = received(&socket) => match packet {
                Some(sent) => drop(arrived.insert(sent)),
                None => {
                    let sent = sending.times();
                    let missing = sent.iter().position(|at| !arrived.contains(at));
                    let row = missing.and_then(|at| sent.get(at..)).unwrap_or_default();
                    if row.len() >= IN_A_ROW {
                        assert!(row.iter().all(|at| !arrived.contains(at)), "one was lost");
                        let micros = row[0].saturating_sub(decided);
                        return Duration::from_micros(micros.unsigned_abs());
                    }
                }
            },
        }
        assert!(begun.elapsed() < DEADLINE, "{from} is not blocked");
    }
}

/// When the next packet was sent, in microseconds since 1970; none when none comes for a while.
async fn received(socket: &UdpSocket) -> Option<i64> {
    let mut bytes = [0; 64];
    let packet = tokio::time::timeout(Duration::from_millis(20), socket.recv(&mut bytes)).await;
    let length = packet.ok()?.expect("a packet");
    std::str::from_utf8(&bytes[..length]).ok()?.trim().parse().ok()
}
