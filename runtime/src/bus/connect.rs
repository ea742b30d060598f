//! Making the connection.

use super::{Bus, Error, StreamConfig};
use crate::settings::{Section, Span};
use async_nats::{ConnectOptions, ServerAddr, jetstream};
use magsentinel_bus_schema::{Limits, Tenant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// Where NATS is, and as whom to connect.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// Servers, comma separated. Default `nats://127.0.0.1:4222`.
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
                format!(
                    "url: {s:?} is not on loopback and would be reached without TLS: set \
                     tls.required, or allow_plaintext if the network is trusted"
                )
            }));
        }
        found
    }
}

impl BusConfig {
    fn servers(&self) -> impl Iterator<Item = &str> {
        self.url.split(',').map(str::trim)
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

/// Connects, trying again until `startup` has passed. Afterwards the client reconnects by
/// itself, for ever.
pub async fn connect(config: &BusConfig, name: &str) -> Result<Bus, Error> {
    let (connected, connections) = watch::channel(0);
    let options = options(config, name, connected)?;
    // `check` has told of addresses that are none.
    let servers: Vec<ServerAddr> =
        config.servers().filter_map(|server| server.parse().ok()).collect();
    let deadline = tokio::time::Instant::now() + config.startup.get();
    let client = loop {
        match options.clone().connect(&servers).await {
            Ok(client) => break client,
            Err(source) if tokio::time::Instant::now() >= deadline => {
                let hint = "is the server running, and bus.url right? \
                            `magsentinel up` starts one of its own";
                return Err(Error::Connect { servers: config.url.clone(), hint, source });
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
        servers: servers.iter().map(|s| format!("{}:{}", s.host(), s.port())).collect(),
        connections,
    })
}

fn options(
    config: &BusConfig,
    name: &str,
    connected: watch::Sender<u64>,
) -> Result<ConnectOptions, Error> {
    let read = |key: &'static str, path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| Error::Credentials {
            key,
            path: path.clone(),
            source,
        })
    };
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
                    connected.send_modify(|times| *times += 1);
                }
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
    if let Some(path) = &config.nkey {
        options = options.nkey(read("nkey", path)?.trim().to_owned());
    }
    if let Some(path) = &config.creds {
        let creds = read("creds", path)?;
        options = options.credentials(&creds).map_err(|source| Error::Credentials {
            key: "creds",
            path: path.clone(),
            source,
        })?;
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
}
