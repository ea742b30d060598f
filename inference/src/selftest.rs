//! The rows that a model was published with, and the scores that it must still give them.

use crate::{Error, Input, Model, Rows};
use magsentinel_bus_schema::Fields;
use serde::Deserialize;

/// Largest difference between a published score and the one that a backend computes.
pub const TOLERANCE: f32 = 1e-4;

/// One row of a self test. For patrols that keep state the rows are one sequence.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// The event's body.
    pub body: Fields,
    /// Its features, as training saw them.
    pub x: Vec<f32>,
    /// The score that the model gave.
    pub score: f32,
}

pub(crate) fn read(model: &str, text: &str) -> Result<Vec<Row>, Error> {
    let wrong = |why: String| Error::SelfTest { model: model.to_owned(), why };
    let rows: Vec<Row> =
        serde_json::from_str(text).map_err(|e| wrong(format!("its rows cannot be read: {e}")))?;
    if rows.is_empty() { Err(wrong("it has no rows".to_owned())) } else { Ok(rows) }
}

/// Scores the published features and compares.
pub(crate) fn run(model: &mut Model, rows: &[Row]) -> Result<(), Error> {
    let name = model.name.clone();
    let wrong = |why: String| Error::SelfTest { model: name.clone(), why };
    let input = model.input();
    let mut buffer = Rows::new(input);
    for (at, row) in rows.iter().enumerate() {
        if row.x.len() != input.width() {
            let (has, wants) = (row.x.len(), input.width());
            return Err(wrong(format!("row {at} has {has} features, expected {wants}")));
        }
    }
    rows.iter().for_each(|row| fill(&mut buffer, input, row));
    let mut scores = Vec::new();
    model.run(&buffer, &mut scores)?;
    for (at, (row, score)) in rows.iter().zip(&scores).enumerate() {
        // Written so that a score that is no number fails too.
        let same = (row.score - score).abs() <= TOLERANCE;
        if !same {
            return Err(wrong(format!("row {at} scores {score}, published as {}", row.score)));
        }
    }
    Ok(())
}

fn fill(buffer: &mut Rows, input: Input, row: &Row) {
    let values = row.x.iter().copied();
    match input {
        #[expect(clippy::cast_possible_truncation, reason = "ids are whole and below 2^24")]
        Input::Ids(_) => buffer.ids().iter_mut().zip(values).for_each(|(to, x)| *to = x as i32),
        Input::Values(_) => buffer.values().iter_mut().zip(values).for_each(|(to, x)| *to = x),
    }
}
