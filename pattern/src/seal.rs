//! The promoter's signature on a pattern.

use magsentinel_bus_schema::{Pattern, Tenant, pattern::Seal};
use magsentinel_runtime::bundle;
use sha2::{Digest, Sha256};

/// SHA-256 of a rule, hexadecimal.
#[must_use]
pub fn digest(rule: &str) -> String {
    Sha256::digest(rule.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text under the signature: everything by which a pattern takes effect.
fn signed(tenant: &Tenant, pattern: &Pattern) -> String {
    let Pattern { pattern: id, patrol, digest, .. } = pattern;
    format!("magsentinel pattern 1\n{tenant}\n{patrol}\n{id}\n{digest}\n")
}

/// Signs a pattern with an NKey's seed.
///
/// # Errors
/// When `seed` is none.
pub fn sign(tenant: &Tenant, pattern: &Pattern, seed: &str) -> Result<Seal, String> {
    let (signer, signature) = bundle::sign_text(&signed(tenant, pattern), seed)?;
    Ok(Seal { signer, signature })
}

/// Whether a trusted key has signed this pattern for this tenant and patrol.
///
/// # Errors
/// Says what does not hold.
pub fn check(tenant: &Tenant, pattern: &Pattern, signers: &[String]) -> Result<(), String> {
    if digest(&pattern.rule) != pattern.digest {
        return Err("its rule is not what its digest says".to_owned());
    }
    let seal = pattern.seal.as_ref().ok_or("it is not signed")?;
    if !signers.contains(&seal.signer) {
        return Err(format!("its signer {} is not among patterns.signers", seal.signer));
    }
    bundle::check_text(&signed(tenant, pattern), &seal.signer, &seal.signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Draft, proposed};
    use magsentinel_bus_schema::{Timestamp, Token, pattern::Origin};

    #[test]
    fn what_was_changed_after_signing_or_signed_by_a_stranger_is_refused() {
        let (tenant, (seed, public)) = (Tenant::default(), bundle::new_key().unwrap());
        let draft = Draft {
            patrol: Token::sanitised("sql-guard"),
            origin: Origin::Operator,
            incident: None,
            events: Vec::new(),
            title: String::new(),
            rule: "title: x".to_owned(),
        };
        let mut pattern = proposed(draft, "ann", Timestamp::from_micros(0));
        let trusted = [public];
        assert!(check(&tenant, &pattern, &trusted).unwrap_err().contains("not signed"));
        pattern.seal = Some(sign(&tenant, &pattern, &seed).unwrap());
        assert_eq!(check(&tenant, &pattern, &trusted), Ok(()));
        assert!(check(&tenant, &pattern, &[]).unwrap_err().contains("patterns.signers"));
        let other: Tenant = "other".parse().unwrap();
        assert!(check(&other, &pattern, &trusted).is_err());
        let patrol = Token::sanitised("api-watch");
        assert!(check(&tenant, &Pattern { patrol, ..pattern.clone() }, &trusted).is_err());
        let mut changed = Pattern { rule: "title: y".to_owned(), ..pattern.clone() };
        assert!(check(&tenant, &changed, &trusted).unwrap_err().contains("digest"));
        changed.digest = digest(&changed.rule);
        assert!(check(&tenant, &changed, &trusted).unwrap_err().contains("signature"));
        assert!(sign(&tenant, &pattern, "no seed").is_err());
    }
}
