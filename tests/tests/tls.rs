//! Mutual TLS and NKeys against a real server: who has the keys gets in, nobody else does.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use magsentinel_runtime::{
    bus::{BusConfig, Error, TlsConfig},
    settings::Span,
};
use magsentinel_tests::server::Server;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa};
use std::path::{Path, PathBuf};

/// Files of an authority, a server and a client that it has signed, and a user's NKey.
struct Keys {
    dir: tempfile::TempDir,
    user: KeyPair,
}

impl Keys {
    fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = rcgen::KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, authority).unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        write("ca.pem", authority.pem());
        for name in ["server", "client"] {
            let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            let key = rcgen::KeyPair::generate().unwrap();
            let cert = params.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.pem"), cert.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        let user = KeyPair::new_user();
        write("user.nk", format!("{}\n", user.seed().unwrap()));
        write("stranger.nk", KeyPair::new_user().seed().unwrap());
        Self { dir, user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn server(&self, dir: &Path) -> Server {
        let more = format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n\
             authorization {{ users: [ {{ nkey: {} }} ] }}\n",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("ca.pem"),
            self.user.public_key(),
        );
        Server::start_with(dir, &more)
    }

    fn config(&self, server: &Server) -> BusConfig {
        BusConfig {
            url: server.url().replace("nats://", "tls://"),
            nkey: Some(self.path("user.nk")),
            tls: TlsConfig {
                required: true,
                ca: Some(self.path("ca.pem")),
                cert: Some(self.path("client.pem")),
                key: Some(self.path("client.key")),
            },
            startup: Span::ms(500),
            ..BusConfig::default()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_nkey_open_the_bus_and_nothing_less_does() {
    let keys = Keys::make();
    let dir = tempfile::tempdir().unwrap();
    let server = keys.server(dir.path());
    let good = keys.config(&server);
    let bus = magsentinel_runtime::bus::connect(&good, "test").await.unwrap();
    bus.ensure_streams().await.unwrap();

    let nobody = BusConfig { nkey: None, ..good.clone() };
    let stranger = BusConfig { nkey: Some(keys.path("stranger.nk")), ..good.clone() };
    let bare = TlsConfig { cert: None, key: None, ..good.tls.clone() };
    let without_certificate = BusConfig { tls: bare, ..good.clone() };
    let unknown = TlsConfig { ca: None, ..good.tls.clone() };
    let untrusting = BusConfig { tls: unknown, ..good.clone() };
    for (what, config, key) in [
        ("no key", nobody, "bus.nkey"),
        ("another key", stranger, "bus.nkey"),
        ("no certificate", without_certificate, ""),
        ("an unknown authority", untrusting, "bus.tls"),
    ] {
        let told = magsentinel_runtime::bus::connect(&config, "test").await.err();
        assert!(matches!(told, Some(Error::Connect { .. })), "{what}: {told:?}");
        let text = told.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(text.contains(key), "{what}: {key} is not named: {told:?}");
    }
    let unread = TlsConfig { ca: Some(keys.path("missing.pem")), ..good.tls.clone() };
    let unread = BusConfig { tls: unread, startup: Span::s(300), ..good.clone() };
    let told = magsentinel_runtime::bus::connect(&unread, "test").await.err().unwrap();
    assert!(matches!(&told, Error::Credentials { key: "tls.ca", .. }), "{told:?}");
    assert!(told.to_string().contains("missing.pem"), "{told}");
    let lost = BusConfig { nkey: Some(keys.path("missing.nk")), ..good };
    let told = magsentinel_runtime::bus::connect(&lost, "test").await.err().unwrap();
    assert!(matches!(&told, Error::Credentials { key: "nkey", .. }), "{told:?}");
    assert!(told.to_string().contains("missing.nk"), "{told}");
}
