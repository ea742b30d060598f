//! What is kept of a scored event: as much as an assessment can say of it, and no more.

mod brief;

use magsentinel_bus_schema::{
    Entity, Id, Kind, Level, Scored, Timestamp, Token, decision::Evidence,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use smallvec::SmallVec;
use std::{cell::RefCell, fmt, sync::Arc};

/// Characters of an event's excerpt that are cited.
const EXCERPT_CHARS_MAX: usize = 400;
/// Reasons of one event that are cited, and the characters of one.
const REASONS_MAX: (usize, usize) = (4, 200);
/// Techniques of one event that are cited.
const TECHNIQUES_MAX: usize = 16;
/// Entities of one event that are cited.
const ENTITIES_MAX: usize = 8;

/// An event's place in time: ties are broken by the scored event's id.
pub type At = (Timestamp, Id);

/// A scored event that is, or may become, a member of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The event.
    #[serde(with = "brief::id")]
    pub event: Id,
    /// Its kind.
    #[serde(with = "brief::kind")]
    pub kind: Kind,
    /// It was played back or back-filled.
    pub replayed: bool,
    /// Who scored.
    pub patrol: Token,
    /// Its level.
    #[serde(with = "brief::level")]
    pub level: Level,
    /// Its score, 0..=1.
    pub score: f32,
    /// How sure the patrol is of the level, as it says.
    pub confidence: f32,
    /// What it looks like.
    pub category: Token,
    /// Its techniques, those that are cited.
    pub techniques: Vec<String>,
    /// Its reasons, those that are cited.
    pub reasons: Vec<String>,
    /// Who and what, all of it.
    #[serde(with = "brief::entities")]
    pub entities: Vec<Entity>,
    /// Untrusted text of its body.
    pub excerpt: String,
    /// W3C trace context.
    pub trace: Option<String>,
    /// It was back-filled.
    pub backfilled: bool,
}

impl Member {
    /// As an assessment cites it.
    #[must_use]
    pub fn evidence(&self, (ts, scored): At) -> Evidence {
        Evidence {
            event: self.event,
            scored,
            ts,
            kind: self.kind,
            patrol: self.patrol.clone(),
            level: self.level,
            score: self.score,
            category: self.category.clone(),
            techniques: self.techniques.clone(),
            reasons: self.reasons.clone(),
            entities: self.entities.iter().take(ENTITIES_MAX).cloned().collect(),
            excerpt: self.excerpt.clone(),
        }
    }
}

/// A text of at most so many characters.
fn cut(text: &str, chars_max: usize) -> &str {
    if text.len() <= chars_max {
        return text;
    }
    text.char_indices().nth(chars_max).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// [`Member`], of a scored event that is not taken apart for it.
#[derive(Serialize)]
struct MemberRef<'s> {
    #[serde(with = "brief::id")]
    event: Id,
    #[serde(with = "brief::kind")]
    kind: Kind,
    replayed: bool,
    patrol: &'s Token,
    #[serde(with = "brief::level")]
    level: Level,
    score: f32,
    confidence: f32,
    category: &'s Token,
    techniques: &'s [String],
    reasons: SmallVec<[&'s str; REASONS_MAX.0]>,
    #[serde(with = "brief::entities")]
    entities: &'s [Entity],
    excerpt: &'s str,
    trace: Option<&'s str>,
    backfilled: bool,
}

impl<'s> From<&'s Scored> for MemberRef<'s> {
    fn from(scored: &'s Scored) -> Self {
        let techniques = scored.techniques.len().min(TECHNIQUES_MAX);
        let reasons = scored.reasons.iter().take(REASONS_MAX.0);
        Self {
            event: scored.event,
            kind: scored.kind,
            replayed: scored.replayed,
            patrol: &scored.patrol,
            level: scored.level,
            score: scored.score,
            confidence: scored.confidence,
            category: &scored.category,
            techniques: scored.techniques.get(..techniques).unwrap_or_default(),
            reasons: reasons.map(|reason| cut(reason, REASONS_MAX.1)).collect(),
            entities: &scored.entities,
            excerpt: cut(&scored.excerpt, EXCERPT_CHARS_MAX),
            trace: scored.trace.as_deref(),
            backfilled: scored.backfilled,
        }
    }
}

thread_local! {
    /// What was unpacked last.
    static NEWEST: RefCell<Option<Newest>> = const { RefCell::new(None) };
}

/// The bytes of a member, and what they are.
type Newest = (Arc<[u8]>, Arc<Member>);

/// A member at rest, encoded: most events never become members, and a window may hold millions.
/// Always what [`Packed::member`] can read.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs what is kept of a scored event, by way of a buffer that is used again and again.
    ///
    /// # Errors
    /// None for values of this type; the codec's type says otherwise.
    pub fn new(scored: &Scored, buffer: &mut Vec<u8>) -> Result<Self, rmp_serde::encode::Error> {
        buffer.clear();
        rmp_serde::encode::write(buffer, &MemberRef::from(scored))?;
        Ok(Self(buffer.as_slice().into()))
    }

    /// The member again, the same one for all chains of a key that find it one after the other.
    pub(super) fn shared(&self) -> Option<Arc<Member>> {
        NEWEST.with_borrow_mut(|newest| {
            if let Some((packed, member)) = newest
                && Arc::ptr_eq(packed, &self.0)
            {
                return Some(Arc::clone(member));
            }
            let member = Arc::new(self.member()?);
            *newest = Some((Arc::clone(&self.0), Arc::clone(&member)));
            Some(member)
        })
    }

    /// The member again.
    #[must_use]
    pub fn member(&self) -> Option<Member> {
        let read = rmp_serde::from_slice(&self.0);
        read.inspect_err(|error| tracing::error!(%error, "a packed event cannot be read")).ok()
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PackedVisitor)
    }
}

struct PackedVisitor;

impl Visitor<'_> for PackedVisitor {
    type Value = Packed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a scored event")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Packed, E> {
        // A snapshot may have been tampered with: found out here, not when it is too late.
        rmp_serde::from_slice::<Member>(bytes).map_err(E::custom)?;
        Ok(Packed(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Naming, scored};

    fn long() -> Scored {
        let mut scored = scored("a", "sql-guard", Level::High, 0.0);
        scored.excerpt = "é".repeat(EXCERPT_CHARS_MAX + 1);
        scored.reasons = vec!["ü".repeat(REASONS_MAX.1 + 1); REASONS_MAX.0 + 1];
        scored.techniques = vec!["T1190".to_owned(); TECHNIQUES_MAX + 1];
        scored.trace = Some("00-trace".to_owned());
        (0..=ENTITIES_MAX).fold(scored, |scored, n| scored.user(&format!("user-{n}")))
    }

    #[test]
    fn what_is_packed_comes_back_and_no_text_is_longer_than_what_is_cited() {
        let (scored, mut buffer) = (long(), vec![1, 2, 3]);
        let member = Packed::new(&scored, &mut buffer).unwrap().member().unwrap();
        let kept = (member.event, member.kind, member.level, member.trace.clone());
        assert_eq!(kept, (scored.event, scored.kind, scored.level, scored.trace));
        assert_eq!((&member.patrol, &member.category), (&scored.patrol, &scored.category));
        assert_eq!((member.score, member.confidence), (scored.score, scored.confidence));
        assert_eq!(member.entities, scored.entities);
        let evidence = member.evidence((Timestamp::default(), Id::derived(&["s"])));
        assert_eq!(evidence.excerpt.chars().count(), EXCERPT_CHARS_MAX);
        assert_eq!(evidence.reasons.len(), REASONS_MAX.0);
        assert!(evidence.reasons.iter().all(|reason| reason.chars().count() == REASONS_MAX.1));
        assert_eq!(evidence.techniques.len(), TECHNIQUES_MAX);
        // All of them count as affected; a citation names the first.
        assert_eq!((member.entities.len(), evidence.entities.len()), (9, ENTITIES_MAX));
    }

    #[test]
    fn a_snapshot_whose_event_was_tampered_with_is_refused() {
        let packed = Packed::new(&long(), &mut vec![]).unwrap();
        let bytes = rmp_serde::to_vec_named(&packed).unwrap();
        assert_eq!(rmp_serde::from_slice::<Packed>(&bytes).unwrap(), packed);
        let mut other = bytes.clone();
        // Past the header of the outer bytes: the number of fields.
        other[3] ^= 0x01;
        assert!(rmp_serde::from_slice::<Packed>(&other).is_err());
    }
}
