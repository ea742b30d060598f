//! Any message: made from a string of bytes, so that a counterexample shrinks with it.

mod analysis;
mod change;
mod lease;
mod pattern;

use crate::examples::{self, Visit};
use magsentinel_bus_schema::{
    Action, Alert, Analyze, Analyzed, Assessment, Class, Closure, DeadLetter, Effect, Entity,
    Event, Fact, Failure, Fields, Gap, GapState, Id, Judgement, Keyed, Kind, Lease, Level, Mark,
    Mode, Outcome, OutcomeStatus, Rated, Receipt, Response, Scored, Shard, Snapshot, Source,
    Status, Suppressed, Tenant, Timestamp, Token, Trust, closure::Share, decision::Evidence,
    suppression,
};
use serde_json::{Map, Value};

/// Visits one message of every type, made from these bytes. When they run out, the rest is zero.
pub(crate) fn each(bytes: &[u8], visit: &mut impl Visit) {
    let mut source = Bytes(bytes);
    visit.visit("event", "any", &source.event());
    visit.visit("scored", "any", &source.scored());
    visit.visit("receipt", "any", &source.receipt());
    visit.visit("fact", "any", &source.fact());
    visit.visit("keyed", "any", &source.keyed());
    visit.visit("assessment", "any", &source.assessment());
    visit.visit("alert", "any", &source.alert());
    visit.visit("analysis", "any", &source.analysis());
    visit.visit("action", "any", &source.action());
    visit.visit("outcome", "any", &source.outcome());
    visit.visit("order", "any", &source.order());
    visit.visit("closure", "any", &source.closure());
    let (scored, assessments) = (vec![source.scored()], vec![source.assessment()]);
    visit.visit("analyze", "any", &Analyze { v: 1, scored });
    visit.visit("analyzed", "any", &Analyzed { v: 1, assessments });
    visit.visit("gap", "any", &source.gap());
    visit.visit("suppression-change", "any", &source.suppression_change());
    visit.visit("pattern-change", "any", &source.pattern_change());
    visit.visit("lease", "any", &source.lease());
    visit.visit("dead-letter", "any", &source.dead_letter());
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        // Numbers of every size, because MessagePack writes each size in its own way.
        let bytes = self.byte() % 9;
        (0..bytes).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }

    fn u32(&mut self) -> u32 {
        self.number() as u32
    }

    fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// 0..=1, of any precision.
    fn share(&mut self) -> f32 {
        self.u32() as f32 / u32::MAX as f32
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()].clone()
    }

    fn text(&mut self) -> String {
        (0..self.byte() % 12).map(|_| self.letter()).collect()
    }

    fn letter(&mut self) -> char {
        match self.byte() {
            b if b < 96 => char::from(b),
            b if b < 240 => char::from(b % 26 + b'a'),
            _ => char::from_u32(self.u32() % 0x11_0000).unwrap_or('\u{202e}'),
        }
    }

    fn token(&mut self) -> Token {
        Token::sanitised(&self.text())
    }

    fn tenant(&mut self) -> Tenant {
        self.pick(&["default", "a", "0-9", "shop-1"]).parse().unwrap()
    }

    fn id(&mut self) -> Id {
        Id::derived(&[self.number().to_be_bytes()])
    }

    fn at(&mut self) -> Timestamp {
        Timestamp::from_micros(self.number() as i64)
    }

    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 4).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| one(self))
    }

    fn texts(&mut self) -> Vec<String> {
        self.list(Self::text)
    }

    fn value(&mut self, depth: u8) -> Value {
        match self.byte() % if depth == 0 { 6 } else { 8 } {
            0 => Value::Null,
            1 => self.flag().into(),
            2 => self.number().into(),
            3 => (self.number() as i64).into(),
            // Exact in both encodings.
            4 => (f64::from(self.u32() as i32) / 64.0).into(),
            5 => self.text().into(),
            6 => self.list(|b| b.value(depth - 1)).into(),
            _ => Value::Object(self.map(depth - 1)),
        }
    }

    fn map(&mut self, depth: u8) -> Map<String, Value> {
        self.list(|b| (b.text(), b.value(depth))).into_iter().collect()
    }

    fn entity(&mut self) -> Entity {
        let trust = self.pick(&[Trust::Claimed, Trust::Observed, Trust::Verified]);
        Entity { class: self.pick(Class::ALL), value: self.text(), trust }
    }

    fn entities(&mut self) -> Vec<Entity> {
        self.list(Self::entity)
    }

    fn event(&mut self) -> Event {
        Event {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            kind: self.pick(Kind::ALL),
            ts: self.at(),
            received: self.at(),
            ts_missing: self.flag(),
            replayed: self.flag(),
            source: Source {
                sensor: self.text(),
                name: self.text(),
                trust: self.pick(&[Trust::Claimed, Trust::Observed, Trust::Verified]),
            },
            causes: self.list(Self::id),
            trace: self.maybe(Self::text),
            body: Fields(self.map(3)),
        }
    }

    fn scored(&mut self) -> Scored {
        Scored {
            v: 1,
            id: self.id(),
            event: self.id(),
            seq: self.number(),
            tenant: self.tenant(),
            kind: self.pick(Kind::ALL),
            ts: self.at(),
            replayed: self.flag(),
            backfilled: self.flag(),
            patrol: self.token(),
            by_key: self.maybe(|s| s.pick(Class::ALL)),
            source: self.maybe(Self::text),
            level: self.pick(Level::ALL),
            score: self.share(),
            confidence: self.share(),
            category: self.token(),
            techniques: self.texts(),
            reasons: self.texts(),
            entities: self.entities(),
            excerpt: self.text(),
            model: self.text(),
            patterns: self.text(),
            trace: self.maybe(Self::text),
        }
    }

    fn receipt(&mut self) -> Receipt {
        Receipt {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            patrol: self.token(),
            model: self.text(),
            patterns: self.text(),
            events: self.list(Self::id),
            seqs: self.list(Self::number),
            backfilled: self.flag(),
        }
    }

    fn fact(&mut self) -> Fact {
        Fact {
            v: 1,
            class: self.pick(Class::ALL),
            key: self.text(),
            seq: self.number(),
            event: self.event(),
            backfilled: self.flag(),
        }
    }

    fn keyed(&mut self) -> Keyed {
        Keyed {
            v: 1,
            class: self.pick(Class::ALL),
            key: self.text(),
            seq: self.number(),
            scored: self.scored(),
        }
    }

    fn evidence(&mut self) -> Evidence {
        Evidence {
            event: self.id(),
            scored: self.id(),
            ts: self.at(),
            kind: self.pick(Kind::ALL),
            patrol: self.token(),
            level: self.pick(Level::ALL),
            score: self.share(),
            category: self.token(),
            techniques: self.texts(),
            reasons: self.texts(),
            entities: self.entities(),
            excerpt: self.text(),
        }
    }

    fn status(&mut self) -> Status {
        self.pick(&[Status::Opened, Status::Updated, Status::Closed])
    }

    fn response(&mut self) -> Response {
        self.pick(&[Response::Allow, Response::Alert, Response::Block])
    }

    fn assessment(&mut self) -> Assessment {
        Assessment {
            v: 1,
            id: self.id(),
            incident: self.id(),
            revision: self.u32(),
            tenant: self.tenant(),
            chain: self.token(),
            class: self.pick(Class::ALL),
            key: self.text(),
            status: self.status(),
            level: self.pick(Level::ALL),
            confidence: self.share(),
            attack_type: self.token(),
            response: self.response(),
            escalate: self.flag(),
            replayed: self.flag(),
            backfilled: self.flag(),
            first: self.at(),
            last: self.at(),
            reasoning: self.texts(),
            techniques: self.texts(),
            affected: self.entities(),
            plan: self.texts(),
            evidence: self.list(Self::evidence),
            count: self.number(),
            suppressed: self.list(Self::suppressed),
            members: self.text(),
            tactics: self.texts(),
            rated: self.maybe(Self::rated),
        }
    }

    fn rated(&mut self) -> Rated {
        Rated { rating: self.share(), model: self.text(), shape: self.text() }
    }

    fn suppressed(&mut self) -> Suppressed {
        Suppressed {
            id: self.token(),
            effect: self.pick(&[suppression::Effect::Mute, suppression::Effect::NoAction]),
            until: self.at(),
            reason: self.text(),
            by: self.text(),
        }
    }

    fn alert(&mut self) -> Alert {
        Alert {
            v: 1,
            id: self.id(),
            assessment: self.id(),
            revision: self.u32(),
            tenant: self.tenant(),
            status: self.status(),
            level: self.pick(Level::ALL),
            confidence: self.share(),
            attack_type: self.token(),
            title: self.text(),
            response: self.response(),
            escalate: self.flag(),
            replayed: self.flag(),
            backfilled: self.flag(),
            class: self.pick(Class::ALL),
            key: self.text(),
            first: self.at(),
            last: self.at(),
            count: self.number(),
            techniques: self.texts(),
            affected: self.entities(),
            events: self.list(Self::id),
            suppressed: self.list(Self::suppressed),
            decided: self.at(),
        }
    }

    fn effect(&mut self) -> Effect {
        match self.pick(&examples::effects()) {
            Effect::BlockAddress { .. } if self.flag() => {
                Effect::BlockAddress { address: self.u32().to_be_bytes().into() }
            }
            Effect::BlockAddress { .. } => {
                let bits = u128::from(self.number()) << 64 | u128::from(self.number());
                Effect::BlockAddress { address: bits.to_be_bytes().into() }
            }
            Effect::SuspendSession { .. } => Effect::SuspendSession {
                session: self.text(),
                user: self.maybe(Self::text),
                system: self.text(),
            },
            other => other,
        }
    }

    fn action(&mut self) -> Action {
        Action {
            v: 1,
            id: self.id(),
            incident: self.id(),
            assessment: self.id(),
            tenant: self.tenant(),
            effect: self.effect(),
            target: self.entity(),
            mode: self.pick(&[Mode::DryRun, Mode::Ask, Mode::Enforce]),
            ttl_s: self.number(),
            inverse: self.text(),
            reason: self.text(),
            events: self.list(Self::id),
            evidence_ts: self.at(),
            replayed: self.flag(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        use OutcomeStatus::{Applied, Failed, Pending, Refused, Renewed, Reverted, WouldApply};
        Outcome {
            v: 1,
            id: self.id(),
            action: self.id(),
            incident: self.id(),
            tenant: self.tenant(),
            effect: self.effect(),
            status: self.pick(&[WouldApply, Refused, Pending, Applied, Reverted, Renewed, Failed]),
            detail: self.text(),
            inverse: self.text(),
            ts: self.at(),
            until: self.maybe(Self::at),
            hash: self.maybe(Self::text),
            order: self.maybe(Self::id),
            evidence: self.maybe(Self::preserved),
        }
    }

    fn closure(&mut self) -> Closure {
        Closure {
            v: 1,
            id: self.id(),
            incident: self.id(),
            tenant: self.tenant(),
            judgement: self.pick(Judgement::ALL),
            by: self.text(),
            note: self.text(),
            patrols: vec![Share { patrol: self.token(), events: self.number() }],
            ts: self.at(),
        }
    }

    fn gap(&mut self) -> Gap {
        Gap {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            patrol: self.token(),
            kind: self.maybe(|b| b.pick(Kind::ALL)),
            from_seq: self.number(),
            to_seq: self.number(),
            count: self.number(),
            reason: self.text(),
            noticed: self.at(),
            state: self.pick(&[GapState::Lost, GapState::Open, GapState::Backfilled]),
            from: self.maybe(Self::at),
            to: self.maybe(Self::at),
            scored_after: self.number(),
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            name: self.text(),
            slot: self.u32(),
            seq: self.number(),
            bytes: self.number(),
            digest: self.text(),
        }
    }

    fn lease(&mut self) -> Lease {
        Lease {
            v: 1,
            service: self.token(),
            shard: Shard(self.u32() as u16),
            owner: self.maybe(Self::text),
            epoch: self.number(),
            ttl_ms: self.number(),
            position: self.number(),
            handled: self.number(),
            snapshot: self.maybe(Self::snapshot),
            marks: self.list(|it| Mark { position: it.number(), handled: it.number() }),
        }
    }

    fn dead_letter(&mut self) -> DeadLetter {
        DeadLetter {
            v: 1,
            id: self.id(),
            tenant: self.tenant(),
            stream: self.text(),
            seq: self.number(),
            subject: self.text(),
            consumer: self.text(),
            element: self.maybe(Self::number),
            failure: self.pick(&[Failure::Poison, Failure::GaveUp, Failure::Bug]),
            reason: self.text(),
            ts: self.at(),
            payload_len: self.number(),
            payload: self.text(),
        }
    }
}
