//! Bundles: models and patterns that are put into the object store, signed, while the mesh runs.
//!
//! A bundle is bytes that only their consumer understands. Its pointer lies in a KV bucket under
//! the consumer's name: digest, size, and an Ed25519 signature (an NKey's) over both, tenant and
//! consumer. Who may write to the bucket can choose among what a trusted key has signed for this
//! consumer, and nothing else.

mod store;

pub use store::{list, publish, rollback, withdraw};

use crate::{
    bus::{Bus, Error},
    context::Context,
    service::Task,
};
use async_nats::jetstream::kv::{Entry, Operation};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::StreamExt;
use magsentinel_bus_schema::{Tenant, Token};
use nkeys::KeyPair;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Who may publish bundles, and how large they may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BundleConfig {
    /// Public NKeys (`U…`) whose signature on a bundle is trusted. Default: none, so bundles are
    /// not looked at.
    pub signers: Vec<String>,
    /// Largest bundle that is read, in bytes, 1024..=1073741824; a larger one is refused.
    /// Default 64 MiB.
    pub bytes_max: u64,
}

impl Default for BundleConfig {
    fn default() -> Self {
        Self { signers: Vec::new(), bytes_max: 64 * 1024 * 1024 }
    }
}

impl BundleConfig {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let bad = |key: &&String| KeyPair::from_public_key(key).is_err();
        let bad = self.signers.iter().filter(bad);
        let mut found: Vec<String> =
            bad.map(|key| format!("signers: {key:?} is no public NKey (U…)")).collect();
        if !(1024..=1 << 30).contains(&self.bytes_max) {
            found.push(format!("bytes_max: must be 1024 to 1073741824, is {}", self.bytes_max));
        }
        found
    }
}

/// What the KV bucket says of a consumer's bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pointer {
    /// Version of this form.
    pub v: u16,
    /// The consumer: a patrol.
    pub consumer: Token,
    /// Name in the object store.
    pub object: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, hexadecimal.
    pub digest: String,
    /// Public NKey of the signer.
    pub signer: String,
    /// Signature of [`Pointer::signed`], base64.
    pub signature: String,
}

/// Version of [`Pointer`].
const VERSION: u16 = 1;

impl Pointer {
    /// Describes and signs bytes for a consumer.
    ///
    /// # Errors
    /// When `seed` is no NKey seed.
    pub fn sign(
        tenant: &Tenant,
        consumer: &Token,
        bytes: &[u8],
        seed: &str,
    ) -> Result<Self, String> {
        let key = KeyPair::from_seed(seed.trim()).map_err(|e| format!("no NKey seed: {e}"))?;
        let digest = digest_of(bytes);
        let mut pointer = Self {
            v: VERSION,
            consumer: consumer.clone(),
            object: format!("{consumer}.{digest}"),
            bytes: bytes.len() as u64,
            digest,
            signer: key.public_key(),
            signature: String::new(),
        };
        pointer.signature = sign_text(&pointer.signed(tenant), seed)?.1;
        Ok(pointer)
    }

    /// The text under the signature.
    fn signed(&self, tenant: &Tenant) -> String {
        let Self { v, consumer, bytes, digest, .. } = self;
        format!("magsentinel bundle {v}\n{tenant}\n{consumer}\n{bytes}\n{digest}\n")
    }

    /// Whether a trusted key has signed this for the consumer.
    ///
    /// # Errors
    /// Says what does not hold.
    pub fn check(
        &self,
        tenant: &Tenant,
        consumer: &Token,
        config: &BundleConfig,
    ) -> Result<(), String> {
        if self.v != VERSION {
            return Err(format!("its form is of version {}, known is {VERSION}", self.v));
        }
        if self.consumer != *consumer {
            return Err(format!("it is for {}", self.consumer));
        }
        if self.bytes > config.bytes_max {
            return Err(format!("{} bytes are over bytes_max ({})", self.bytes, config.bytes_max));
        }
        if !config.signers.contains(&self.signer) {
            return Err(format!("its signer {} is not among the trusted", self.signer));
        }
        check_text(&self.signed(tenant), &self.signer, &self.signature)
    }
}

/// A new key for signing: its seed, to be kept secret, and its public key.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_key() -> Result<(String, String), String> {
    let key = KeyPair::new_user();
    Ok((key.seed().map_err(|e| e.to_string())?, key.public_key()))
}

/// Signs a text with an NKey's seed: the public key, and the signature in base64.
///
/// # Errors
/// When it is no NKey seed.
pub fn sign_text(text: &str, seed: &str) -> Result<(String, String), String> {
    let key = KeyPair::from_seed(seed.trim()).map_err(|e| format!("no NKey seed: {e}"))?;
    let signature = key.sign(text.as_bytes()).map_err(|e| e.to_string())?;
    Ok((key.public_key(), STANDARD.encode(signature)))
}

/// Whether a signature that [`sign_text`] made is that of a signer under a text.
///
/// # Errors
/// When it is not.
pub fn check_text(text: &str, signer: &str, signature: &str) -> Result<(), String> {
    let key = KeyPair::from_public_key(signer).map_err(|e| e.to_string())?;
    let signature = STANDARD.decode(signature).map_err(|e| e.to_string())?;
    let valid = key.verify(text.as_bytes(), &signature);
    valid.map_err(|_| "its signature is not valid".to_owned())
}

/// The public key of a seed.
///
/// # Errors
/// When it is no NKey seed.
pub fn public_key(seed: &str) -> Result<String, String> {
    let key = KeyPair::from_seed(seed.trim()).map_err(|e| format!("no NKey seed: {e}"))?;
    Ok(key.public_key())
}

/// What a consumer does with the bytes of its bundle, or when there is none any more. An error
/// says why they cannot be used; what was in use stays in use then.
pub type Accept = Arc<dyn Fn(Option<&[u8]>) -> Result<(), String> + Send + Sync>;

/// The task that follows the bundle of a consumer.
#[must_use]
pub fn task(consumer: Token, config: BundleConfig, accept: Accept) -> Task {
    let run = move |context: Context| {
        let (consumer, config, accept) = (consumer.clone(), config.clone(), accept.clone());
        let work = async move { follow(&context, &consumer, &config, accept).await };
        Box::pin(work) as futures::future::BoxFuture<'static, Result<(), String>>
    };
    Task { name: "bundle".to_owned(), run: Arc::new(run) }
}

async fn follow(
    context: &Context,
    consumer: &Token,
    config: &BundleConfig,
    accept: Accept,
) -> Result<(), String> {
    let store = store::pointers(&context.bus).await.map_err(|e| e.to_string())?;
    let watch = store.watch_with_history(consumer.as_str()).await;
    let mut watch = watch.map_err(|e| e.to_string())?;
    loop {
        let entry = tokio::select! {
            entry = watch.next() => entry.ok_or("the watch has ended")?,
            () = context.stopping() => return Ok(()),
        };
        let entry = entry.map_err(|e| e.to_string())?;
        // Of a history only the newest counts.
        if entry.delta > 0 {
            continue;
        }
        let taken = take(&context.bus, consumer, config, &entry, &accept).await;
        report(context, consumer, &entry, &taken);
    }
}

/// Fetches, checks and hands over; the digest that is in use now.
async fn take(
    bus: &Bus,
    consumer: &Token,
    config: &BundleConfig,
    entry: &Entry,
    accept: &Accept,
) -> Result<Option<String>, String> {
    let (bytes, digest) = match entry.operation {
        Operation::Put => {
            let pointer: Pointer = serde_json::from_slice(&entry.value)
                .map_err(|e| format!("its pointer cannot be read: {e}"))?;
            pointer.check(bus.tenant(), consumer, config)?;
            let bytes = store::fetch(bus, &pointer).await.map_err(|e: Error| e.to_string())?;
            if digest_of(&bytes) != pointer.digest {
                return Err("its bytes are not what was signed".to_owned());
            }
            (Some(bytes), Some(pointer.digest))
        }
        Operation::Delete | Operation::Purge => (None, None),
    };
    let accept = Arc::clone(accept);
    let taken = tokio::task::spawn_blocking(move || accept(bytes.as_deref())).await;
    taken.map_err(|e| e.to_string())??;
    Ok(digest)
}

fn report(
    context: &Context,
    consumer: &Token,
    entry: &Entry,
    taken: &Result<Option<String>, String>,
) {
    let revision = entry.revision;
    let said: Value = match taken {
        Ok(digest) => {
            tracing::info!(%consumer, revision, ?digest, "bundle is in use");
            json!({ "revision": revision, "state": "in use", "digest": digest })
        }
        Err(why) => {
            tracing::error!(%consumer, revision, why, "bundle is refused");
            json!({ "revision": revision, "state": "refused", "why": why })
        }
    };
    context.report("bundle", said);
}

fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_key_signed_for_this_consumer_and_tenant_passes() {
        let (seed, public) = new_key().unwrap();
        let (tenant, patrol) = (Tenant::default(), Token::sanitised("sql-guard"));
        let good = Pointer::sign(&tenant, &patrol, b"bytes", &seed).unwrap();
        let config = BundleConfig { signers: vec![public], ..BundleConfig::default() };
        assert_eq!(config.problems(), Vec::<String>::new());
        let check = |pointer: &Pointer| pointer.check(&tenant, &patrol, &config);
        assert_eq!(check(&good), Ok(()));
        let other: Tenant = "other".parse().unwrap();
        assert!(good.check(&other, &patrol, &config).is_err());
        assert!(good.check(&tenant, &Token::sanitised("data-flow"), &config).is_err());
        let small = BundleConfig { bytes_max: 4, ..config.clone() };
        assert!(good.check(&tenant, &patrol, &small).unwrap_err().contains("bytes_max"));
        let changed = Pointer { digest: digest_of(b"other"), ..good.clone() };
        assert!(check(&changed).unwrap_err().contains("signature"));
        let stranger = Pointer::sign(&tenant, &patrol, b"bytes", &new_key().unwrap().0).unwrap();
        assert!(check(&stranger).unwrap_err().contains("not among"));
        // A stranger's signature under a trusted name.
        let posing = Pointer { signer: good.signer.clone(), ..stranger };
        assert!(check(&posing).unwrap_err().contains("signature"));
        assert!(Pointer::sign(&tenant, &patrol, b"", "no seed").is_err());
        let wrong = BundleConfig { signers: vec!["UXXX".to_owned()], bytes_max: 1 };
        assert_eq!(wrong.problems().len(), 2);
    }
}
