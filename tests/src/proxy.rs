//! A way to a server that can be cut, that can lose what the server sends, and that can hold back
//! what a client sends.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What becomes of bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They pass.
    Open,
    /// What the server sends is lost.
    Lossy,
    /// What clients send waits.
    Held,
    /// No connection stands.
    Cut,
}

/// Passes connections on to a server until it is told otherwise. Ends with the runtime.
pub struct Proxy {
    at: SocketAddr,
    way: watch::Sender<Way>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    lost: AtomicU64,
    held: Mutex<Vec<u8>>,
}

impl Shared {
    fn hold(&self, bytes: &[u8]) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }
}

impl Proxy {
    /// A way to `server`, a `nats://` address, on a free port.
    pub async fn to(server: &str) -> Self {
        let server = server.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("an address");
        let (way, is) = watch::channel(Way::Open);
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), is.clone(), Arc::clone(&seen)));
            }
        });
        Self { at, way, shared }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.at)
    }

    /// Drops every connection, and lets none through.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Lets everything through again, first what was held back.
    pub fn heal(&self) {
        self.way.send_replace(Way::Open);
    }

    /// Takes what the server sends, and loses it.
    pub fn lose(&self) {
        self.way.send_replace(Way::Lossy);
    }

    /// How many bytes of the server were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Holds back what clients send.
    pub fn hold(&self) {
        self.way.send_replace(Way::Held);
    }

    /// Whether something that was ever held back contains these bytes.
    #[must_use]
    pub fn holds(&self, part: &[u8]) -> bool {
        let held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.windows(part.len()).any(|window| window == part)
    }
}

async fn pass(client: TcpStream, server: String, way: watch::Receiver<Way>, shared: Arc<Shared>) {
    let mut is_cut = way.clone();
    if *is_cut.borrow_and_update() == Way::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = up(from_client, to_server, way.clone(), Arc::clone(&shared)) => {}
        _ = down(from_server, to_client, way, shared) => {}
        _ = is_cut.wait_for(|way| *way == Way::Cut) => {}
    }
}

async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    let (mut buffer, mut waiting) = (vec![0; 64 * 1024], Vec::new());
    loop {
        let is_held = *way.borrow_and_update() == Way::Held;
        if !is_held && !waiting.is_empty() {
            to.write_all(&std::mem::take(&mut waiting)).await?;
        }
        tokio::select! {
            read = from.read(&mut buffer) => {
                let bytes = buffer.get(..read?).unwrap_or_default();
                match bytes {
                    [] => return Ok(()),
                    _ if is_held => {
                        shared.hold(bytes);
                        waiting.extend_from_slice(bytes);
                    }
                    _ => to.write_all(bytes).await?,
                }
            }
            changed = way.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

async fn down(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: watch::Receiver<Way>,
    shared: Arc<Shared>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let is_lossy = *way.borrow() == Way::Lossy;
        match bytes {
            [] => return Ok(()),
            _ if is_lossy => {
                shared.lost.fetch_add(read as u64, Ordering::Relaxed);
            }
            _ => to.write_all(bytes).await?,
        }
    }
}
