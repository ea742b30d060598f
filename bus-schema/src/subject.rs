//! Subjects and streams: built and parsed here and nowhere else.
//!
//! `mag.<tenant>.<stage>.<kind…>[.<shard>]`, lower-case ASCII tokens, never raw user text.

use crate::{Class, Judgement, Kind, Level, OrderVerb, decision::Verb, pattern::State};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// First token of every subject.
pub const ROOT: &str = "mag";

/// Why a text is no subject, tenant or token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// The tenant is not `[a-z0-9-]{1,32}`.
    #[error("tenant {0:?} must be 1 to 32 of a-z, 0-9 and -")]
    Tenant(String),
    /// A token is not `[a-z0-9_-]{1,64}`.
    #[error("token {0:?} must be 1 to 64 of a-z, 0-9, _ and -")]
    Token(String),
    /// The subject has an unknown form.
    #[error("{0:?} is no subject of the mesh")]
    Unknown(String),
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $max:literal, $underscore:literal, $error:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "CompactString", into = "CompactString")]
        #[schemars(with = "String")]
        pub struct $name(CompactString);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SubjectError;
            fn from_str(s: &str) -> Result<Self, SubjectError> {
                let good = |b: u8| {
                    matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-') || ($underscore && b == b'_')
                };
                if (1..=$max).contains(&s.len()) && s.bytes().all(good) {
                    return Ok(Self(s.into()));
                }
                Err(SubjectError::$error(s.chars().take($max + 1).collect()))
            }
        }

        impl TryFrom<CompactString> for $name {
            type Error = SubjectError;
            fn try_from(s: CompactString) -> Result<Self, SubjectError> {
                s.parse()
            }
        }

        impl From<$name> for CompactString {
            fn from(t: $name) -> CompactString {
                t.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_type! {
    /// A tenant: 1 to 32 of `a-z`, `0-9`, `-`.
    Tenant, 32, false, Tenant
}
text_type! {
    /// One token of a subject, of our own making: 1 to 64 of `a-z`, `0-9`, `_`, `-`.
    Token, 64, true, Token
}

impl Default for Tenant {
    fn default() -> Self {
        Self(CompactString::const_new("default"))
    }
}

impl Token {
    /// A token from any text: everything else becomes `_`. For categories that a pattern file
    /// or a recording names.
    #[must_use]
    pub fn sanitised(text: &str) -> Self {
        let good = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        let cut = text.chars().map(|c| c.to_ascii_lowercase());
        let token: CompactString = cut.map(|c| if good(c) { c } else { '_' }).take(64).collect();
        if token.is_empty() { Self(CompactString::const_new("unknown")) } else { Self(token) }
    }
}

/// A share of the key space. Fixed number per installation, owned by lease.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a key among `shards` (at least 1). FNV-1a (64 bit, the constants of
    /// Fowler, Noll and Vo) with a final mix of the upper half: stable for ever, because
    /// publishers in any language may compute it.
    #[must_use]
    pub fn of(key: &str, shards: u16) -> Self {
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let mixed = hash ^ (hash >> 32);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below u16::MAX")]
        Self((mixed % u64::from(shards.max(1))) as u16)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Every subject of the mesh, without its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The door for publishers that compute no shard.
    Ingest(Kind),
    /// An event.
    Event(Kind, Shard),
    /// The fields of an event that the owner of another key class needs.
    Fact(Token, Class, Shard),
    /// A scored event, or a receipt at level none.
    Scored(Token, Level),
    /// A scored event on its way to a key's owner.
    Keyed(Class, Shard),
    /// Several scored events for keys of any class of one shard, in order, as one message.
    Parcel(Shard),
    /// An assessment.
    Assessment(Level),
    /// An alert.
    Alert(Level, Token),
    /// An analysis.
    Analysis(Token),
    /// An action.
    Action(Verb),
    /// An outcome.
    Outcome(Verb),
    /// An operator's word on an incident.
    Closure(Judgement),
    /// An operator's order about leases of effects.
    Order(OrderVerb),
    /// A pattern in some state of its life.
    Pattern(Token, Token),
    /// A patrol was blind.
    Gap(Token),
    /// A suppression of a running mesh was changed.
    Suppression(Token),
    /// Who owns a shard.
    Lease(Token, Shard),
    /// A message that could not be handled.
    DeadLetter(Token),
    /// Request and reply, inline.
    Verdict(Kind),
    /// Request and reply: a service tells how it is.
    Status(Token),
    /// Request and reply: what the analyzer would make of scored events.
    Analyze,
    /// Request and reply: whether this one process is still connected.
    Instance(Token),
    /// Request and reply: what the commander would write of an incident.
    Incident,
}

/// Where a class stands on the subject of a lone event.
const PARCEL: &str = "parcel";

impl Subject {
    /// The shard of what is kept by shard, other than leases.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        match self {
            Self::Event(_, shard)
            | Self::Fact(_, _, shard)
            | Self::Keyed(_, shard)
            | Self::Parcel(shard) => Some(*shard),
            _ => None,
        }
    }

    /// The subject's text for a tenant.
    #[must_use]
    pub fn of(&self, tenant: &Tenant) -> String {
        let p = format!("{ROOT}.{tenant}");
        match self {
            Self::Ingest(kind) => format!("{p}.ingest.{kind}"),
            Self::Event(kind, shard) => format!("{p}.event.{kind}.{shard}"),
            Self::Fact(patrol, class, shard) => format!("{p}.fact.{patrol}.{class}.{shard}"),
            Self::Scored(patrol, level) => format!("{p}.scored.{patrol}.{level}"),
            Self::Keyed(class, shard) => format!("{p}.keyed.{class}.{shard}"),
            Self::Parcel(shard) => format!("{p}.keyed.{PARCEL}.{shard}"),
            Self::Assessment(level) => format!("{p}.assessment.{level}"),
            Self::Alert(level, attack) => format!("{p}.alert.{level}.{attack}"),
            Self::Analysis(attack) => format!("{p}.analysis.{attack}"),
            Self::Action(verb) => format!("{p}.action.{verb}"),
            Self::Outcome(verb) => format!("{p}.outcome.{verb}"),
            Self::Closure(judgement) => format!("{p}.closure.{judgement}"),
            Self::Order(verb) => format!("{p}.order.{verb}"),
            Self::Pattern(patrol, state) => format!("{p}.pattern.{patrol}.{state}"),
            Self::Gap(patrol) => format!("{p}.gap.{patrol}"),
            Self::Suppression(name) => format!("{p}.suppression.{name}"),
            Self::Lease(service, shard) => format!("{p}.lease.{service}.{shard}"),
            Self::DeadLetter(stage) => format!("{p}.deadletter.{stage}"),
            Self::Verdict(kind) => format!("{p}.verdict.{kind}"),
            Self::Status(service) => format!("{p}.status.{service}"),
            Self::Analyze => format!("{p}.analyze"),
            Self::Instance(name) => format!("{p}.instance.{name}"),
            Self::Incident => format!("{p}.incident"),
        }
    }

    /// Tenant and subject of a text.
    pub fn parse(text: &str) -> Result<(Tenant, Self), SubjectError> {
        let unknown = || SubjectError::Unknown(text.chars().take(128).collect());
        let tokens: Vec<&str> = text.split('.').collect();
        let [ROOT, tenant, rest @ ..] = tokens.as_slice() else { return Err(unknown()) };
        let subject = Self::parse_tokens(rest)?.ok_or_else(unknown)?;
        Ok((tenant.parse()?, subject))
    }

    fn parse_tokens(tokens: &[&str]) -> Result<Option<Self>, SubjectError> {
        Ok(match tokens {
            ["ingest", kind] => kind.parse().ok().map(Self::Ingest),
            ["event", kind, shard] => {
                kind.parse().ok().zip(parse_shard(shard)).map(|(k, s)| Self::Event(k, s))
            }
            ["fact", patrol, class, shard] => {
                let patrol = patrol.parse()?;
                let parts = Class::from_token(class).zip(parse_shard(shard));
                parts.map(|(c, s)| Self::Fact(patrol, c, s))
            }
            ["scored", patrol, level] => {
                let patrol = patrol.parse()?;
                Level::from_token(level).map(|l| Self::Scored(patrol, l))
            }
            ["keyed", PARCEL, shard] => parse_shard(shard).map(Self::Parcel),
            ["keyed", class, shard] => {
                Class::from_token(class).zip(parse_shard(shard)).map(|(c, s)| Self::Keyed(c, s))
            }
            ["assessment", level] => Level::from_token(level).map(Self::Assessment),
            ["alert", level, attack] => {
                let attack = attack.parse()?;
                Level::from_token(level).map(|l| Self::Alert(l, attack))
            }
            ["analysis", attack] => Some(Self::Analysis(attack.parse()?)),
            ["action", verb] => parse_verb(verb).map(Self::Action),
            ["outcome", verb] => parse_verb(verb).map(Self::Outcome),
            ["closure", judgement] => Judgement::from_token(judgement).map(Self::Closure),
            ["order", verb] => OrderVerb::from_token(verb).map(Self::Order),
            ["pattern", patrol, state] => Some(Self::Pattern(patrol.parse()?, state.parse()?)),
            ["gap", patrol] => Some(Self::Gap(patrol.parse()?)),
            ["suppression", name] => Some(Self::Suppression(name.parse()?)),
            ["lease", service, shard] => {
                let service = service.parse()?;
                parse_shard(shard).map(|s| Self::Lease(service, s))
            }
            ["deadletter", stage] => Some(Self::DeadLetter(stage.parse()?)),
            ["verdict", kind] => kind.parse().ok().map(Self::Verdict),
            ["status", service] => Some(Self::Status(service.parse()?)),
            ["analyze"] => Some(Self::Analyze),
            ["instance", name] => Some(Self::Instance(name.parse()?)),
            ["incident"] => Some(Self::Incident),
            _ => None,
        })
    }
}

fn parse_shard(token: &str) -> Option<Shard> {
    // Only the canonical form, so that a shard has one subject.
    token.parse().ok().filter(|n: &u16| n.to_string() == token).map(Shard)
}

fn parse_verb(token: &str) -> Option<Verb> {
    Verb::ALL.iter().copied().find(|v| v.token() == token)
}

/// The JetStream streams of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What publishers hand in; a work queue.
    Ingest,
    /// Events.
    Events,
    /// Scored events and receipts.
    Scored,
    /// Keyed scored events, and facts.
    Keyed,
    /// Assessments, alerts, analyses, actions, outcomes, closures, orders, patterns, gaps, changes of
    /// suppressions, leases.
    Decisions,
    /// What could not be handled.
    DeadLetter,
}

impl Stream {
    /// Every stream.
    pub const ALL: &'static [Stream] = &[
        Stream::Ingest,
        Stream::Events,
        Stream::Scored,
        Stream::Keyed,
        Stream::Decisions,
        Stream::DeadLetter,
    ];

    /// The stream's token.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::Ingest => "INGEST",
            Self::Events => "EVENTS",
            Self::Scored => "SCORED",
            Self::Keyed => "KEYED",
            Self::Decisions => "DECISIONS",
            Self::DeadLetter => "DEADLETTER",
        }
    }

    /// The stream's name for a tenant.
    #[must_use]
    pub fn name(self, tenant: &Tenant) -> String {
        format!("MAG-{tenant}-{}", self.token())
    }

    /// Stages whose subjects it holds.
    #[must_use]
    pub fn stages(self) -> &'static [&'static str] {
        match self {
            Self::Ingest => &["ingest"],
            Self::Events => &["event"],
            Self::Scored => &["scored"],
            Self::Keyed => &["keyed", "fact"],
            Self::Decisions => &[
                "assessment",
                "alert",
                "analysis",
                "action",
                "outcome",
                "closure",
                "order",
                "pattern",
                "gap",
                "suppression",
                "lease",
            ],
            Self::DeadLetter => &["deadletter"],
        }
    }

    /// Subjects that it captures.
    #[must_use]
    pub fn subjects(self, tenant: &Tenant) -> Vec<String> {
        self.stages().iter().map(|stage| all_of(tenant, stage)).collect()
    }

    /// The stream that holds a subject; `None` for those that are not stored.
    #[must_use]
    pub fn holding(subject: &Subject) -> Option<Self> {
        Some(match subject {
            Subject::Ingest(_) => Self::Ingest,
            Subject::Event(..) => Self::Events,
            Subject::Scored(..) => Self::Scored,
            Subject::Keyed(..) | Subject::Parcel(_) | Subject::Fact(..) => Self::Keyed,
            Subject::DeadLetter(_) => Self::DeadLetter,
            Subject::Verdict(_)
            | Subject::Status(_)
            | Subject::Analyze
            | Subject::Incident
            | Subject::Instance(_) => {
                return None;
            }
            _ => Self::Decisions,
        })
    }
}

/// Filter for everything of a stage: `mag.<tenant>.<stage>.>`.
#[must_use]
pub fn all_of(tenant: &Tenant, stage: &str) -> String {
    format!("{ROOT}.{tenant}.{stage}.>")
}

/// Filter for all shards of an event kind.
#[must_use]
pub fn events_of(tenant: &Tenant, kind: Kind) -> String {
    format!("{ROOT}.{tenant}.event.{kind}.*")
}

/// Filter for all shards of a patrol's facts of a class.
#[must_use]
pub fn facts_of(tenant: &Tenant, patrol: &Token, class: Class) -> String {
    format!("{ROOT}.{tenant}.fact.{patrol}.{class}.*")
}

/// Filters for all patrols' scored events of exactly these levels.
#[must_use]
pub fn scored_at(tenant: &Tenant, levels: &[Level]) -> Vec<String> {
    levels.iter().map(|level| format!("{ROOT}.{tenant}.scored.*.{level}")).collect()
}

/// Filter for a shard's keyed events of every class. One pattern for each shard rather than one for
/// each class of it: the server looks through a consumer's filters for every message.
#[must_use]
pub fn keyed_at(tenant: &Tenant, shard: Shard) -> String {
    format!("{ROOT}.{tenant}.keyed.*.{shard}")
}

/// Filter for all patrols' patterns that come to a state.
#[must_use]
pub fn patterns_at(tenant: &Tenant, state: State) -> String {
    format!("{ROOT}.{tenant}.pattern.*.{state}")
}

/// Filter for the leases of all shards of a service.
#[must_use]
pub fn leases_of(tenant: &Tenant, service: &Token) -> String {
    format!("{ROOT}.{tenant}.lease.{service}.*")
}

#[cfg(test)]
mod tests;
