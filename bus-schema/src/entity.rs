//! Who and what an event is about, and how far its naming can be trusted.

use crate::{Fields, Kind, key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// How a field's value came to be known. Ordered: a later one is trusted more.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Somebody said so; forgeable (a header, a free-text field). Never a target.
    #[default]
    Claimed,
    /// A sensor of ours, or the server it reads, saw it itself.
    Observed,
    /// Checked by cryptography or a handshake.
    Verified,
}

/// The class of an entity: what correlation keys are made of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Address of the end client.
    Client,
    /// User, account or role.
    User,
    /// Session.
    Session,
    /// API key.
    Key,
    /// Device.
    Device,
    /// Host.
    Host,
    /// Extension or plug-in.
    Extension,
    /// Table, bucket, file, endpoint.
    Resource,
}

impl Class {
    /// Every class.
    pub const ALL: &'static [Class] = &[
        Class::Client,
        Class::User,
        Class::Session,
        Class::Key,
        Class::Device,
        Class::Host,
        Class::Extension,
        Class::Resource,
    ];

    /// Its token in subjects and rules.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::User => "user",
            Self::Session => "session",
            Self::Key => "key",
            Self::Device => "device",
            Self::Host => "host",
            Self::Extension => "extension",
            Self::Resource => "resource",
        }
    }

    /// The class of a token.
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.token() == token)
    }

    /// Body fields that name an entity of this class, first match wins.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Client => &["client", "src_ip", "client_ip", "ip"],
            Self::User => &["user", "actor", "target_user"],
            Self::Session => &["session"],
            Self::Key => &["key"],
            Self::Device => &["device", "client_id"],
            Self::Host => &["host"],
            Self::Extension => &["extension"],
            Self::Resource => &["resource"],
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Longest entity value kept, in characters. Longer ones are cut: they are keys and targets,
/// not payload.
pub const ENTITY_CHARS_MAX: usize = 256;

/// One typed entity.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Entity {
    /// What it is.
    pub class: Class,
    /// Its name, at most [`ENTITY_CHARS_MAX`] characters.
    pub value: String,
    /// How far the name can be trusted.
    #[serde(default)]
    pub trust: Trust,
}

/// Body field in which a sensor lists the fields that it read and cannot vouch for (the end of a
/// line that may have been cut, a name where an address belongs). It can only lower a trust.
pub const CLAIMED: &str = "claimed";

/// The entities that a body names, with the trust of their source. In `sql` and `data` only the
/// field `client` names the end client: any other address is the database's own peer, often an
/// application server shared by everybody, so it stays claimed and is never a target. What the
/// body lists in [`CLAIMED`] stays claimed too.
#[must_use]
pub fn entities_of(kind: Kind, body: &Fields, trust: Trust) -> Vec<Entity> {
    let from_database = matches!(kind, Kind::Sql | Kind::Data);
    Class::ALL
        .iter()
        .filter_map(|&class| {
            let (field, value) = named(class, body)?;
            let peer = from_database && class == Class::Client && field != "client";
            let trust = if peer || is_claimed(body, field) { Trust::Claimed } else { trust };
            Some(Entity { class, value, trust })
        })
        .collect()
}

fn is_claimed(body: &Fields, field: &str) -> bool {
    let listed = body.get(CLAIMED).and_then(Value::as_array);
    listed.is_some_and(|names| names.iter().any(|name| name.as_str() == Some(field)))
}

/// Classes of the entity that gives an event its shard: the first that the body names. The
/// first of the list is the class by which a patrol that keeps state must key it.
#[must_use]
pub fn shard_classes(kind: Kind) -> &'static [Class] {
    match kind {
        Kind::Data => &[Class::User, Class::Session, Class::Client],
        Kind::Sql => &[Class::Client, Class::Session, Class::User],
        Kind::Api => &[Class::Client, Class::Session, Class::User, Class::Key],
        Kind::Auth => &[Class::Client, Class::User, Class::Host],
        Kind::Extension => &[Class::Extension, Class::User, Class::Host],
        Kind::Iot => &[Class::Device, Class::Client],
        Kind::Flow | Kind::Dns => &[Class::Client, Class::Host],
        Kind::Host => &[Class::Host, Class::User],
    }
}

/// The entity that gives an event its shard, or `None` when the body names none of
/// [`shard_classes`].
#[must_use]
pub fn shard_entity(kind: Kind, body: &Fields) -> Option<(Class, String)> {
    let classes = shard_classes(kind).iter();
    classes.copied().find_map(|class| Some((class, named(class, body)?.1)))
}

/// The key whose [`crate::Shard::of`] is the event's shard: that of [`shard_entity`]
/// ([`key::of`]), or the kind's token, so that events that name nobody share one shard.
#[must_use]
pub fn shard_key(kind: Kind, body: &Fields) -> String {
    let entity = shard_entity(kind, body);
    let key = |(class, value): (Class, String)| key::of(class, &value, body);
    entity.map_or_else(|| kind.token().to_owned(), key)
}

/// The value of the entity of a class that a body names.
#[must_use]
pub fn value_of(class: Class, body: &Fields) -> Option<String> {
    named(class, body).map(|(_, value)| value)
}

/// The field that names an entity of a class, and its value, cut.
fn named(class: Class, body: &Fields) -> Option<(&'static str, String)> {
    let (field, value) = class.fields().iter().find_map(|f| Some((*f, text(body.get(*f)?)?)))?;
    Some((field, value.chars().take(ENTITY_CHARS_MAX).collect()))
}

/// What publishers write where they have no name or address: it names nobody.
pub const NOBODY: [&str; 3] = ["-", "(null)", "N/A"];

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) if NOBODY.contains(&s.trim()) => None,
        Value::String(s) if !s.trim().is_empty() => Some(s.trim().to_owned()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: Kind, body: Value) -> Vec<Entity> {
        let Value::Object(map) = body else { return vec![] };
        entities_of(kind, &Fields(map), Trust::Observed)
    }

    #[test]
    fn aliases_are_read_in_order_and_blank_ones_skipped() {
        let found = of(Kind::Data, json!({"user": " ", "actor": "ann", "src_ip": "192.0.2.1"}));
        assert_eq!(found.len(), 2);
        assert!(found.iter().any(|e| e.class == Class::User && e.value == "ann"));
        assert!(found.iter().any(|e| e.class == Class::Client && e.value == "192.0.2.1"));
    }

    #[test]
    fn the_shard_follows_the_first_entity_that_is_named() {
        let key = |kind, body: Value| match body {
            Value::Object(map) => shard_key(kind, &Fields(map)),
            _ => String::new(),
        };
        let whole = json!({"user": "ann", "session": "s1", "src_ip": "192.0.2.1"});
        assert_eq!(key(Kind::Data, whole.clone()), "ann");
        assert_eq!(key(Kind::Auth, whole), "192.0.2.1");
        assert_eq!(key(Kind::Data, json!({"user": "", "session": "s1"})), "s1");
        assert_eq!(key(Kind::Data, json!({})), "data");
        assert_eq!(key(Kind::Auth, json!({"src_ip": "-", "user": "ann"})), "ann");
        assert_eq!(
            key(Kind::Api, json!({"client": "2001:db8::1"})),
            key(Kind::Api, json!({"client": "2001:db8::2"}))
        );
        assert!(Kind::ALL.iter().all(|kind| !shard_classes(*kind).is_empty()));
    }

    #[test]
    fn a_field_that_its_sensor_cannot_vouch_for_is_claimed_and_no_other() {
        let body = json!({"user": "ann", "src_ip": "192.0.2.1", "claimed": ["user", 7]});
        let trust_of = |class| of(Kind::Auth, body.clone()).into_iter().find(|e| e.class == class);
        assert_eq!(trust_of(Class::User).map(|e| e.trust), Some(Trust::Claimed));
        assert_eq!(trust_of(Class::Client).map(|e| e.trust), Some(Trust::Observed));
        // Whatever a publisher writes there, it raises nothing.
        let Value::Object(body) = json!({"user": "ann", "claimed": "nobody"}) else { return };
        assert_eq!(entities_of(Kind::Auth, &Fields(body), Trust::Claimed)[0].trust, Trust::Claimed);
    }

    #[test]
    fn the_databases_peer_is_no_end_client() {
        let trust_of = |body| {
            of(Kind::Sql, body).into_iter().find(|e| e.class == Class::Client).map(|e| e.trust)
        };
        assert_eq!(trust_of(json!({"src_ip": "10.0.0.5"})), Some(Trust::Claimed));
        let both = json!({"src_ip": "10.0.0.5", "client": "203.0.113.9"});
        assert_eq!(trust_of(both), Some(Trust::Observed));
    }
}
