//! A credentials file: what a server in operator mode gives to a user, a JWT and a seed.
//!
//! The tokens are made here after the `nats-io/jwt` format, version 2: claims of operator, account
//! and user, each signed (`ed25519-nkey`) by the one above.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use magsentinel_runtime::{
    bus::{BusConfig, Error},
    settings::Span,
};
use magsentinel_tests::server::Server;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn token(signer: &KeyPair, subject: &KeyPair, name: &str, nats: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({
        "jti": name, "iat": 1_700_000_000, "iss": signer.public_key(), "name": name,
        "sub": subject.public_key(), "nats": nats,
    });
    let part = |value: &Value| BASE64.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = BASE64.encode(signer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

/// An account without limits.
fn account(operator: &KeyPair, name: &str) -> (KeyPair, String) {
    let key = KeyPair::new_account();
    let none = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
    let storage = ["mem_storage", "disk_storage", "streams", "consumer"];
    // The system's account must not have streams.
    let storage = storage.iter().filter(|_| name != "system");
    let mut limits: serde_json::Map<String, Value> =
        none.iter().chain(storage).map(|limit| ((*limit).to_owned(), json!(-1))).collect();
    limits.insert("wildcards".to_owned(), true.into());
    let nats = json!({"limits": limits, "type": "account", "version": 2});
    let token = token(operator, &key, name, &nats);
    (key, token)
}

fn credentials(dir: &Path, name: &str, account: &KeyPair) -> PathBuf {
    let user = KeyPair::new_user();
    let nats = json!({
        "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2,
    });
    let token = token(account, &user, name, &nats);
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    );
    let file = dir.join(format!("{name}.creds"));
    std::fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_account_gets_in_and_a_strangers_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let operator = KeyPair::new_operator();
    let nats = json!({"type": "operator", "version": 2});
    let operator_token = token(&operator, &operator, "operator", &nats);
    let (system, system_token) = account(&operator, "system");
    let (mesh, mesh_token) = account(&operator, "mesh");
    let more = format!(
        "operator: {operator_token}\nsystem_account: {}\nresolver: MEMORY\n\
         resolver_preload: {{ {}: {system_token}, {}: {mesh_token} }}\n",
        system.public_key(),
        system.public_key(),
        mesh.public_key(),
    );
    let server = Server::start_with(&dir.path().join("nats"), &more);
    let config = |creds: Option<PathBuf>| BusConfig {
        url: server.url(),
        creds,
        // Who is refused is not tried again for so long.
        startup: Span::s(300),
        ..BusConfig::default()
    };
    let good = config(Some(credentials(dir.path(), "patrol", &mesh)));
    let bus = magsentinel_runtime::bus::connect(&good, "test").await.unwrap();
    bus.ensure_streams().await.unwrap();

    let stranger = credentials(dir.path(), "stranger", &KeyPair::new_account());
    for (what, config) in [("nobody", config(None)), ("a stranger", config(Some(stranger)))] {
        let told = magsentinel_runtime::bus::connect(&config, "test").await.err();
        assert!(matches!(told, Some(Error::Connect { .. })), "{what}: {told:?}");
        let told = told.map(|e| e.to_string()).unwrap_or_default();
        assert!(told.contains("bus.creds"), "{what} is not told what to look at: {told}");
    }
    let broken = dir.path().join("broken.creds");
    std::fs::write(&broken, "no credentials").unwrap();
    for file in [broken, dir.path().join("missing.creds")] {
        let told = magsentinel_runtime::bus::connect(&config(Some(file.clone())), "test").await;
        let told = told.err().unwrap();
        assert!(matches!(&told, Error::Credentials { key: "creds", .. }), "{told:?}");
        assert!(told.to_string().contains(&file.display().to_string()), "{told}");
    }
}
