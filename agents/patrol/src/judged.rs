//! How often operators found that a patrol was right.

use magsentinel_bus_schema::{
    Closure, Id, Judgement, Limits, Stream, Tenant, Timestamp, Token, subject,
};
use magsentinel_runtime::{service::Task, stage::Delivery};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Incidents that are remembered: the newest.
const INCIDENTS_MAX: usize = 10_000;

/// The newest judgement of each incident that cites a patrol.
#[derive(Debug, Default)]
pub struct Judged {
    by_incident: BTreeMap<Id, (Timestamp, Judgement)>,
}

impl Judged {
    /// Takes in a closure, if it is about the patrol and nothing newer is known of its incident.
    pub fn take(&mut self, patrol: &Token, closure: &Closure) {
        if !closure.patrols.iter().any(|share| share.patrol == *patrol) {
            return;
        }
        let known = self.by_incident.entry(closure.incident);
        let newest = known.or_insert((closure.ts, closure.judgement));
        if closure.ts >= newest.0 {
            *newest = (closure.ts, closure.judgement);
        }
        if self.by_incident.len() > INCIDENTS_MAX {
            let oldest = self.by_incident.iter().min_by_key(|(_, (ts, _))| *ts);
            if let Some(id) = oldest.map(|(id, _)| *id) {
                self.by_incident.remove(&id);
            }
        }
    }

    /// Incidents by judgement, and the share of false ones among them, 0..=1.
    #[must_use]
    pub fn report(&self) -> Value {
        let all = self.by_incident.values();
        let wrong = all.filter(|(_, judgement)| *judgement == Judgement::FalsePositive).count();
        let right = self.by_incident.len() - wrong;
        #[expect(clippy::cast_precision_loss, reason = "at most INCIDENTS_MAX")]
        let rate = (wrong + right > 0).then(|| wrong as f64 / (wrong + right) as f64);
        json!({ "true_positive": right, "false_positive": wrong, "false_positive_rate": rate })
    }
}

/// The task that follows what operators say of incidents that cite a patrol.
#[must_use]
pub fn task(patrol: Token) -> Task {
    let judged = Mutex::new(Judged::default());
    let show = move |delivery: &Delivery| {
        let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
        let closure: Closure = delivery.decode(Limits::default()).map_err(|e| e.to_string())?;
        judged.take(&patrol, &closure);
        Ok(judged.report())
    };
    Task::following("judged", Stream::Decisions, closures, Arc::new(show))
}

fn closures(tenant: &Tenant) -> Vec<String> {
    vec![subject::all_of(tenant, "closure")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use magsentinel_bus_schema::{SCHEMA_VERSION, closure::Share};

    fn closure(incident: &str, judgement: Judgement, patrol: &str, at: i64) -> Closure {
        Closure {
            v: SCHEMA_VERSION,
            id: Id::derived(&[incident, judgement.token()]),
            incident: Id::derived(&[incident]),
            tenant: Tenant::default(),
            judgement,
            by: String::new(),
            note: String::new(),
            patrols: vec![Share { patrol: Token::sanitised(patrol), events: 3 }],
            ts: Timestamp::from_micros(at),
        }
    }

    #[test]
    fn the_newest_word_on_each_of_its_incidents_counts() {
        let (guard, mut judged) = (Token::sanitised("sql-guard"), Judged::default());
        assert_eq!(judged.report()["false_positive_rate"], Value::Null);
        for said in [
            closure("a", Judgement::FalsePositive, "sql-guard", 1),
            closure("a", Judgement::TruePositive, "sql-guard", 2),
            // Told late.
            closure("a", Judgement::FalsePositive, "sql-guard", 1),
            closure("b", Judgement::FalsePositive, "sql-guard", 3),
            closure("c", Judgement::FalsePositive, "data-flow", 4),
        ] {
            judged.take(&guard, &said);
        }
        let told = json!({ "true_positive": 1, "false_positive": 1, "false_positive_rate": 0.5 });
        assert_eq!(judged.report(), told);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let (guard, mut judged) = (Token::sanitised("sql-guard"), Judged::default());
        for n in 0..INCIDENTS_MAX + 10 {
            let at = i64::try_from(n).unwrap();
            let name = format!("i{n}");
            judged.take(&guard, &closure(&name, Judgement::TruePositive, "sql-guard", at));
        }
        assert_eq!(judged.by_incident.len(), INCIDENTS_MAX);
        assert!(!judged.by_incident.contains_key(&Id::derived(&["i0"])));
    }
}
