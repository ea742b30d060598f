//! A webhook's receiver, as whoever holds the keys of a system would have one.

use hmac::{Hmac, Mac};
use magsentinel_tests::Mesh;
use serde_json::Value;
use sha2::Sha256;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

const KEY: &[u8] = b"a key of the test, of thirty-two bytes or more";

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checked as a receiver would.
    pub(crate) fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(self.headers["x-magsentinel-timestamp"].as_bytes());
        mac.update(b".");
        mac.update(&self.body);
        let hex: String =
            mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.headers["x-magsentinel-signature"] == format!("v1={hex}")
    }
}

/// A receiver that cannot take so many requests, and then takes all but those of people whose names
/// begin with `unknown`.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many requests it cannot take yet.
    pub(crate) refuses: Arc<AtomicU32>,
    /// Of how many requests it takes what they say, and does not answer.
    pub(crate) silent: Arc<AtomicU32>,
}

impl Receiver {
    /// Listens on a free port.
    pub(crate) fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let receiver = receiver.clone();
                std::thread::spawn(move || while receiver.answer(&stream).is_some() {});
            }
        });
        port
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        assert!(line.starts_with("POST /hook?team=red HTTP/1.1"), "{line}");
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            // Whoever is killed says no more.
            reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length")?.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let seen = Seen { headers, body };
        let name = seen.json()["name"].as_str().unwrap().to_owned();
        self.seen.lock().unwrap().push(seen);
        if self.silent.load(Ordering::Relaxed) > 0 {
            self.silent.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let less = |left: u32| left.checked_sub(1);
        let refused = self.refuses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        let unknown = name.starts_with("unknown");
        let status = match (refused, unknown) {
            (true, _) => "503 Service Unavailable",
            (false, true) => "422 Unprocessable Content",
            (false, false) => "204 No Content",
        };
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()
    }

    /// What came about a name.
    pub(crate) fn about(&self, name: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap().clone();
        seen.into_iter().filter(|seen| seen.json()["name"] == name).collect()
    }

    /// Everything that came.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// The settings of a webhook that posts to this port.
pub(crate) fn webhook(mesh: &Mesh, port: u16) -> Vec<String> {
    let file = mesh.dir().join("hook.key");
    std::fs::write(&file, [KEY, b"\n"].concat()).unwrap();
    vec![
        format!("responder.webhook.url=http://127.0.0.1:{port}/hook?team=red"),
        format!("responder.webhook.key_file={}", file.display()),
    ]
}
