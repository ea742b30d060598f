//! What was decided and done about an incident before: what the logbook holds of it, in short.
//!
//! Services never ask one another, so it comes from where the logbook has it too, the stream of
//! decisions. Of a message only its types become words of ours; what somebody else wrote (a name, a
//! note, a reason) stands beside them, as a quotation.

use crate::untrusted::shown;
use magsentinel_bus_schema::{
    Action, Analysis, Assessment, Closure, Id, Outcome, Tenant, Timestamp, decision::Author,
};
use serde::{Deserialize, Serialize};

/// Most entries that are kept of an incident; then the oldest goes.
pub(super) const KEPT_MAX: usize = 256;
/// Characters of what is quoted.
const QUOTE_CHARS: usize = 160;

/// One thing that was decided or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What, in words of ours.
    pub text: String,
    /// What somebody wrote about it. Untrusted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quote: String,
}

/// An entry and where it belongs. The same message always makes the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    pub(super) tenant: Tenant,
    pub(super) incident: Id,
    pub(super) id: Id,
    pub(super) entry: Entry,
}

impl Noted {
    fn of(tenant: &Tenant, incident: Id, id: Id, at: Timestamp, what: (String, &str)) -> Self {
        let quote = shown(what.1, QUOTE_CHARS);
        Self { tenant: tenant.clone(), incident, id, entry: Entry { at, text: what.0, quote } }
    }

    /// A decision of the analyzer. Revisions that decide the same are one entry.
    #[must_use]
    pub fn decided(a: &Assessment) -> Self {
        let (level, response) = (a.level.token(), token(&a.response));
        let status = token(&a.status);
        let parts: [&[u8]; 5] = [
            b"decided",
            a.incident.as_bytes(),
            level.as_bytes(),
            response.as_bytes(),
            status.as_bytes(),
        ];
        let text = format!(
            "The analyzer {status} the incident at level {level} with the response {response}, \
             confidence {:.2}, revision {}",
            a.confidence, a.revision
        );
        Self::of(&a.tenant, a.incident, Id::derived(&parts), a.last, (text, ""))
    }

    /// An analysis of ours.
    #[must_use]
    pub fn analysed(a: &Analysis, at: Timestamp) -> Self {
        let author = match a.author {
            Author::Playbook => "the playbook",
            Author::Model => "the model",
        };
        let text = format!("An analysis of level {} was written by {author}", a.level);
        Self::of(&a.tenant, a.incident, a.id, at, (text, ""))
    }

    /// An action that was asked for.
    #[must_use]
    pub fn asked(a: &Action) -> Self {
        let text = format!(
            "The action {} was asked for in mode {}, for {} s, of the {}",
            a.effect.verb(),
            token(&a.mode),
            a.ttl_s,
            a.target.class
        );
        let id = Id::derived(&[b"asked".as_slice(), a.id.as_bytes()]);
        Self::of(&a.tenant, a.incident, id, a.evidence_ts, (text, &a.target.value))
    }

    /// What became of an action.
    #[must_use]
    pub fn became(o: &Outcome) -> Self {
        let status = token(&o.status).replace('_', " ");
        let text = format!("The action {} is {status}", o.effect.verb());
        Self::of(&o.tenant, o.incident, o.id, o.ts, (text, &o.detail))
    }

    /// What an operator said.
    #[must_use]
    pub fn judged(c: &Closure) -> Self {
        let text = format!("An operator judged the incident a {}", c.judgement);
        Self::of(&c.tenant, c.incident, c.id, c.ts, (text, &c.note))
    }
}

/// The token of a plain enum, as it stands in messages.
fn token(of: &impl Serialize) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(token)) => token,
        _ => String::new(),
    }
}
