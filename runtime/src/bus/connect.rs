//! Making the connection.

use super::{Bus, Error, StreamConfig};
use crate::settings::{Section, Span};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr, jetstream};
use magsentinel_bus_schema::{Limits, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, io, path::Path, path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// Where NATS is, and as whom to connect.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// Servers, comma separated, each with `user:password@` or `token@` before it where that is
    /// needed (`%40` for an `@` in them). Default `nats://127.0.0.1:4222`.
    pub url: String,
    /// Tenant of this process: `[a-z0-9-]{1,32}`. Default `default`.
    pub tenant: Tenant,
    /// File with an NKey seed. At most one of `nkey` and `creds`.
    pub nkey: Option<PathBuf>,
    /// Credentials file (JWT and seed).
    pub creds: Option<PathBuf>,
    /// TLS.
    pub tls: TlsConfig,
    /// Connect to a server that is neither on loopback nor reached by TLS. Default false.
    pub allow_plaintext: bool,
    /// How long to wait for a connection or an answer. Default 5s.
    pub timeout: Span,
    /// How long to go on trying to connect at start before giving up. Default 30s.
    pub startup: Span,
    /// Largest message read, in bytes; larger ones are dead-lettered. Default 1 MiB.
    pub message_bytes_max: usize,
    /// The streams.
    pub streams: StreamConfig,
}

/// TLS of the connection.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Refuse a connection without TLS. Default false.
    pub required: bool,
    /// File with the certificates of the authorities to trust, PEM.
    pub ca: Option<PathBuf>,
    /// File with the client's certificate, PEM.
    pub cert: Option<PathBuf>,
    /// File with the client's key, PEM.
    pub key: Option<PathBuf>,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            tenant: Tenant::default(),
            nkey: None,
            creds: None,
            tls: TlsConfig::default(),
            allow_plaintext: false,
            timeout: Span::s(5),
            startup: Span::s(30),
            message_bytes_max: 1024 * 1024,
            streams: StreamConfig::default(),
        }
    }
}

impl Section for BusConfig {
    const NAME: &'static str = "bus";

    fn problems(&self) -> Vec<String> {
        let mut found = self.streams.problems();
        let servers: Vec<&str> = self.servers().collect();
        for server in &servers {
            if let Err(e) = server.parse::<ServerAddr>() {
                let server = redacted(server);
                found.push(format!("url: {server:?} is no server address ({e})"));
            }
        }
        if self.nkey.is_some() && self.creds.is_some() {
            found.push("nkey, creds: give at most one of them".to_owned());
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            found.push("tls.cert, tls.key: give both or none".to_owned());
        }
        if self.message_bytes_max < 1024 {
            found.push("message_bytes_max: must be at least 1024".to_owned());
        }
        let plain = |s: &&&str| !s.starts_with("tls://") && !is_loopback(s);
        if !self.allow_plaintext && !self.tls.required {
            found.extend(servers.iter().filter(plain).map(|s| {
                let s = redacted(s);
                format!(
                    "url: {s:?} is not on loopback and would be reached without TLS: set \
                     tls.required, or allow_plaintext if the network is trusted"
                )
            }));
        }
        found
    }
}

/// Whoever prints a configuration prints no password.
impl fmt::Debug for BusConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, nkey, creds, tls, allow_plaintext, timeout, startup, .. } = self;
        f.debug_struct("BusConfig")
            .field("url", &self.shown_url())
            .field("tenant", tenant)
            .field("nkey", nkey)
            .field("creds", creds)
            .field("tls", tls)
            .field("allow_plaintext", allow_plaintext)
            .field("timeout", timeout)
            .field("startup", startup)
            .field("message_bytes_max", &self.message_bytes_max)
            .field("streams", &self.streams)
            .finish()
    }
}

impl BusConfig {
    fn servers(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
    }

    /// The servers as they may be shown: without user names, passwords and tokens.
    #[must_use]
    pub fn shown_url(&self) -> String {
        self.servers().map(redacted).collect::<Vec<_>>().join(",")
    }

    /// The files that it names (`nkey`, `creds`, `tls.ca`, `tls.cert`, `tls.key`) and that cannot
    /// be used, each with the reason. Needs no server.
    #[must_use]
    pub fn unusable_files(&self) -> Vec<Error> {
        let pem: Check = |text| match text.contains("-----BEGIN ") {
            true => Ok(()),
            false => Err("it holds nothing in PEM".to_owned()),
        };
        let seed: Check = |text| {
            let read = nkeys::KeyPair::from_seed(text.trim());
            read.map(drop).map_err(|e| format!("it holds no NKey seed: {e}"))
        };
        let creds: Check =
            |text| ConnectOptions::new().credentials(text).map(drop).map_err(|e| e.to_string());
        let files: [(&'static str, &Option<PathBuf>, Check); 5] = [
            ("nkey", &self.nkey, seed),
            ("creds", &self.creds, creds),
            ("tls.ca", &self.tls.ca, pem),
            ("tls.cert", &self.tls.cert, pem),
            ("tls.key", &self.tls.key, pem),
        ];
        let unusable = files.into_iter().filter_map(|(key, path, check)| {
            let path = path.as_ref()?;
            let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
            let read = read(key, path);
            let checked =
                read.and_then(|text| check(&text).map_err(|why| unusable(key, path, wrong(why))));
            checked.err()
        });
        unusable.collect()
    }
}

/// What is wrong with a file's text, if something is.
type Check = fn(&str) -> Result<(), String>;

fn unusable(key: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Credentials { key, path: path.to_path_buf(), source }
}

fn read(key: &'static str, path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| unusable(key, path, source))
}

/// A part of a URL with `%40` and the like read.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let pair = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let code = pair.filter(|_| byte == b'%').and_then(|p| u8::from_str_radix(p, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = after.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A server's address without what proves who connects.
fn redacted(server: &str) -> String {
    // A password may hold anything: all that stands before the last `@` goes.
    match server.rsplit_once('@') {
        None => server.to_owned(),
        Some((before, host)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{host}"),
            None => format!("***@{host}"),
        },
    }
}

fn is_loopback(server: &str) -> bool {
    let rest = server.split("://").last().unwrap_or(server);
    let host = rest.rsplit('@').next().unwrap_or(rest);
    let host = host.strip_prefix('[').map_or_else(
        || host.split(':').next().unwrap_or(host),
        |v6| v6.split(']').next().unwrap_or(v6),
    );
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What to do about a connection that could not be made.
fn hint(error: &ConnectError) -> &'static str {
    // The TLS library tells what it refuses as an I/O error of this kind.
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::InvalidData)
    };
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            "the server refuses who we say we are: look at bus.nkey, bus.creds, or the user in \
             bus.url, and at the server's accounts"
        }
        kind if kind == ConnectErrorKind::Tls || causes.into_iter().any(refused) => {
            "there is no agreement on TLS: look at bus.tls, and at the server's certificate"
        }
        _ => "is the server running, and bus.url right? `magsentinel up` starts one of its own",
    }
}

/// Connects, trying again until `startup` has passed; a server that refuses who we are is not
/// asked again. Afterwards the client reconnects by itself, for ever.
///
/// # Errors
/// When a file that the configuration names cannot be used, or no connection could be made.
pub async fn connect(config: &BusConfig, name: &str) -> Result<Bus, Error> {
    if let Some(unusable) = config.unusable_files().into_iter().next() {
        return Err(unusable);
    }
    let (connects, connected) = watch::channel(());
    let options = options(config, name, connects)?;
    // `check` has told of addresses that are none.
    let servers: Vec<ServerAddr> =
        config.servers().filter_map(|server| server.parse().ok()).collect();
    let deadline = tokio::time::Instant::now() + config.startup.get();
    let client = loop {
        match options.clone().connect(&servers).await {
            Ok(client) => break client,
            Err(source)
                if source.kind() == ConnectErrorKind::AuthorizationViolation
                    || tokio::time::Instant::now() >= deadline =>
            {
                let (servers, hint) = (config.shown_url(), hint(&source));
                return Err(Error::Connect { servers, hint, source });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection yet");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    };
    let mut js = jetstream::context::ContextBuilder::new()
        .timeout(config.timeout.get())
        .ack_timeout(config.timeout.get())
        .max_ack_inflight(16_384)
        .build(client.clone());
    js.set_timeout(config.timeout.get());
    Ok(Bus {
        client,
        js,
        tenant: config.tenant.clone(),
        limits: Limits { bytes_max: config.message_bytes_max },
        streams: Arc::new(config.streams.clone()),
        startup: config.startup.get(),
        servers: servers.iter().map(|s| format!("{}:{}", s.host(), s.port())).collect(),
        connected,
    })
}

fn options(
    config: &BusConfig,
    name: &str,
    connects: watch::Sender<()>,
) -> Result<ConnectOptions, Error> {
    let mut options = ConnectOptions::new()
        .name(format!("magsentinel-{name}"))
        .connection_timeout(config.timeout.get())
        .request_timeout(Some(config.timeout.get()))
        .ping_interval(std::time::Duration::from_secs(10))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            // 50 ms, doubling, at most 2 s: a server that restarts is found at once.
            std::time::Duration::from_millis((50 << attempt.min(6)).min(2000))
        })
        .client_capacity(16_384)
        .subscription_capacity(65_536)
        .event_callback(move |event| {
            match event {
                async_nats::Event::Connected => {
                    tracing::info!("connected to nats");
                    connects.send_replace(());
                }
                // We are done with it: a connection is tried again for ever.
                async_nats::Event::Closed => tracing::debug!("connection closed"),
                other => tracing::warn!(event = %other, "connection event"),
            }
            std::future::ready(())
        });
    if config.tls.required {
        options = options.require_tls(true);
    }
    if let Some(ca) = &config.tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    if let (Some(cert), Some(key)) = (&config.tls.cert, &config.tls.key) {
        options = options.add_client_certificate(cert.clone(), key.clone());
    }
    let named = config.servers().filter_map(|server| server.parse::<ServerAddr>().ok());
    // The client looks for neither in an address by itself.
    if let Some(server) = named.into_iter().find(ServerAddr::has_user_pass) {
        let user = decoded(server.username().unwrap_or_default());
        options = match server.password() {
            Some(password) => options.user_and_password(user, decoded(password)),
            None => options.token(user),
        };
    }
    if let Some(path) = &config.nkey {
        options = options.nkey(read("nkey", path)?.trim().to_owned());
    }
    if let Some(path) = &config.creds {
        let creds = read("creds", path)?;
        options = options.credentials(&creds).map_err(|source| unusable("creds", path, source))?;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_beyond_loopback_must_be_asked_for() {
        let with = |url: &str| BusConfig { url: url.to_owned(), ..BusConfig::default() }.problems();
        for fine in ["nats://127.0.0.1:4222", "localhost", "[::1]:4222", "tls://nats.example:4222"]
        {
            assert_eq!(with(fine), Vec::<String>::new(), "{fine}");
        }
        assert_eq!(with("nats://nats.example:4222,127.0.0.1").len(), 1);
        assert_eq!(with("nats://127.0.0.1.example:4222").len(), 1);
        assert!(with("::not a server::").iter().any(|p| p.contains("no server address")));
    }

    #[test]
    fn passwords_and_tokens_are_shown_nowhere() {
        let url = "nats://ann:s3cret@nats.example:4222, t0ken@10.0.0.1,tls://b:p@ss@[::1]:4222";
        let config = BusConfig { url: url.to_owned(), ..BusConfig::default() };
        let shown = config.shown_url();
        assert_eq!(shown, "nats://***@nats.example:4222,***@10.0.0.1,tls://***@[::1]:4222");
        let told = config.problems().join("\n");
        assert!(told.contains("nats.example"), "{told}");
        for text in [shown, format!("{config:?}"), told] {
            for secret in ["s3cret", "t0ken", "p@ss", "ann"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert!(format!("{config:?}").contains("message_bytes_max: 1048576"));
    }

    #[test]
    fn a_password_in_an_address_is_read_as_urls_are() {
        for (part, want) in
            [("s3cret", "s3cret"), ("a%40b%2Fc", "a@b/c"), ("5%", "5%"), ("%zz", "%zz")]
        {
            assert_eq!(decoded(part), want);
        }
    }

    #[test]
    fn every_file_that_cannot_be_used_is_named_with_its_key() {
        let dir = std::env::temp_dir().join(format!("bus-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        let noise = dir.join("noise");
        std::fs::write(&noise, "no key at all").unwrap();
        let seed = dir.join("user.nk");
        std::fs::write(&seed, nkeys::KeyPair::new_user().seed().unwrap() + "\n").unwrap();
        let tls = TlsConfig {
            ca: Some(noise.clone()),
            cert: Some(dir.join("missing.pem")),
            key: Some(noise.clone()),
            ..TlsConfig::default()
        };
        let bad = BusConfig { nkey: Some(noise.clone()), tls, ..BusConfig::default() };
        let told: Vec<String> = bad.unusable_files().iter().map(ToString::to_string).collect();
        let good = BusConfig { nkey: Some(seed), ..BusConfig::default() };
        let creds = BusConfig { creds: Some(noise), ..BusConfig::default() };
        let (fine, broken) = (good.unusable_files(), creds.unusable_files());
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(told.len(), 4, "{told:?}");
        for (said, key) in told.iter().zip(["nkey", "tls.ca", "tls.cert", "tls.key"]) {
            assert!(said.contains(&format!("bus.{key} ")), "{key}: {said}");
        }
        assert!(fine.is_empty(), "{fine:?}");
        assert!(matches!(broken.as_slice(), [Error::Credentials { key: "creds", .. }]));
    }
}
