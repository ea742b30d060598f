//! The JSON Schema (draft 2020-12) of every message and body, for the generated reference.

use crate::{
    Action, Alert, Analysis, Analyze, Analyzed, Assessment, Closure, DeadLetter, Event, Fact, Gap,
    Keyed, Lease, Order, Outcome, PatternChange, Receipt, Scored, SuppressionChange, kinds,
};
use schemars::{Schema, schema_for};

/// Name and schema of every message that travels on a stage's subjects.
#[must_use]
pub fn messages() -> Vec<(&'static str, Schema)> {
    vec![
        ("event", schema_for!(Event)),
        ("scored", schema_for!(Scored)),
        ("receipt", schema_for!(Receipt)),
        ("fact", schema_for!(Fact)),
        ("keyed", schema_for!(Keyed)),
        ("assessment", schema_for!(Assessment)),
        ("alert", schema_for!(Alert)),
        ("analysis", schema_for!(Analysis)),
        ("action", schema_for!(Action)),
        ("outcome", schema_for!(Outcome)),
        ("closure", schema_for!(Closure)),
        ("order", schema_for!(Order)),
        ("analyze", schema_for!(Analyze)),
        ("analyzed", schema_for!(Analyzed)),
        ("gap", schema_for!(Gap)),
        ("suppression-change", schema_for!(SuppressionChange)),
        ("pattern-change", schema_for!(PatternChange)),
        ("lease", schema_for!(Lease)),
        ("dead-letter", schema_for!(DeadLetter)),
    ]
}

/// Name and schema of every kind's body.
#[must_use]
pub fn bodies() -> Vec<(&'static str, Schema)> {
    vec![
        ("sql", schema_for!(kinds::Sql)),
        ("api", schema_for!(kinds::Api)),
        ("auth", schema_for!(kinds::Auth)),
        ("data", schema_for!(kinds::Data)),
        ("extension", schema_for!(kinds::Extension)),
        ("iot", schema_for!(kinds::Iot)),
        ("flow", schema_for!(kinds::Flow)),
        ("dns", schema_for!(kinds::Dns)),
        ("host", schema_for!(kinds::Host)),
    ]
}
