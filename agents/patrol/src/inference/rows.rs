//! Rows of features on their way into a model.

use ort::value::TensorElementType;

/// What a model takes: its one input's name, element type and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `ids`: int32 `[N, width]`.
    Ids(usize),
    /// `x`: float32 `[N, width]`.
    Values(usize),
}

impl Input {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ids(_) => "ids",
            Self::Values(_) => "x",
        }
    }

    /// Numbers in one row.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Ids(width) | Self::Values(width) => width,
        }
    }

    pub(super) fn element(self) -> TensorElementType {
        match self {
            Self::Ids(_) => TensorElementType::Int32,
            Self::Values(_) => TensorElementType::Float32,
        }
    }
}

/// Rows of features, contiguous; the buffer is made once and used for every batch.
#[derive(Clone, Debug)]
pub enum Rows {
    /// For [`Input::Ids`].
    Ids(Vec<i32>),
    /// For [`Input::Values`].
    Values(Vec<f32>),
}

/// One row, to be filled.
#[derive(Debug)]
pub enum RowMut<'a> {
    /// For [`Input::Ids`].
    Ids(&'a mut [i32]),
    /// For [`Input::Values`].
    Values(&'a mut [f32]),
}

/// One row, filled.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Of [`Input::Ids`].
    Ids(&'a [i32]),
    /// Of [`Input::Values`].
    Values(&'a [f32]),
}

impl Rows {
    /// Room for `count` rows.
    #[must_use]
    pub fn new(input: Input, count: usize) -> Self {
        match input {
            Input::Ids(width) => Self::Ids(vec![0; width * count]),
            Input::Values(width) => Self::Values(vec![0.0; width * count]),
        }
    }

    /// Row `at`, to be filled; empty when out of range.
    pub fn row_mut(&mut self, at: usize, width: usize) -> RowMut<'_> {
        let range = at * width..(at + 1) * width;
        match self {
            Self::Ids(all) => RowMut::Ids(all.get_mut(range).unwrap_or_default()),
            Self::Values(all) => RowMut::Values(all.get_mut(range).unwrap_or_default()),
        }
    }

    /// Row `at`; empty when out of range.
    #[must_use]
    pub fn row(&self, at: usize, width: usize) -> Row<'_> {
        let range = at * width..(at + 1) * width;
        match self {
            Self::Ids(all) => Row::Ids(all.get(range).unwrap_or_default()),
            Self::Values(all) => Row::Values(all.get(range).unwrap_or_default()),
        }
    }
}

/// Copies rows of ids without the padding that all of them end in; returns the columns left.
/// One column of padding stays, as models take it for the zero of a maximum. Widths are rounded
/// up, so that a backend sees few different shapes.
pub(super) fn trim(rows: &[i32], width: usize, out: &mut Vec<i32>) -> usize {
    const STEP: usize = 16;
    let filled = |row: &[i32]| row.iter().rposition(|id| *id != 0).map_or(0, |at| at + 1);
    let longest = rows.chunks_exact(width).map(filled).max().unwrap_or(0);
    let columns = (longest + 1).next_multiple_of(STEP).min(width);
    out.clear();
    for row in rows.chunks_exact(width) {
        out.extend_from_slice(row.get(..columns).unwrap_or_default());
    }
    columns
}
