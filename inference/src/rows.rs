//! Rows of features on their way into a model.

use crate::port::Element;

/// What a model takes: its one input's name, element type and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// `ids`: int32 `[N, width]`.
    Ids(usize),
    /// `x`: float32 `[N, width]`.
    Values(usize),
}

impl Input {
    pub(crate) fn name(self) -> &'static str {
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

    pub(crate) fn element(self) -> Element {
        match self {
            Self::Ids(_) => Element::Int32,
            Self::Values(_) => Element::Float32,
        }
    }

    /// Whether such rows go into it.
    pub(crate) fn takes(self, rows: Row<'_>) -> bool {
        match (self, rows) {
            (Self::Ids(_), Row::Ids(_)) | (Self::Values(_), Row::Values(_)) => true,
            (Self::Ids(_), Row::Values(_)) | (Self::Values(_), Row::Ids(_)) => false,
        }
    }
}

/// Rows of features, contiguous; the buffer keeps its room from batch to batch.
#[derive(Clone, Debug)]
pub struct Rows {
    width: usize,
    count: usize,
    numbers: Numbers,
}

#[derive(Clone, Debug)]
enum Numbers {
    Ids(Vec<i32>),
    Values(Vec<f32>),
}

/// One row, filled.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// Of [`Input::Ids`].
    Ids(&'a [i32]),
    /// Of [`Input::Values`].
    Values(&'a [f32]),
}

impl Row<'_> {
    /// Numbers it holds.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Values(values) => values.len(),
        }
    }
}

impl Rows {
    /// No row yet.
    #[must_use]
    pub fn new(input: Input) -> Self {
        let numbers = match input {
            Input::Ids(_) => Numbers::Ids(Vec::new()),
            Input::Values(_) => Numbers::Values(Vec::new()),
        };
        Self { width: input.width(), count: 0, numbers }
    }

    /// Rows that are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no row is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keeps the first `count` rows and their room.
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
        match &mut self.numbers {
            Numbers::Ids(all) => all.truncate(self.count * self.width),
            Numbers::Values(all) => all.truncate(self.count * self.width),
        }
    }

    /// Adds a row of zeros and returns it, for [`Input::Ids`]; without a place to write to
    /// where the model takes values.
    pub fn ids(&mut self) -> &mut [i32] {
        let Numbers::Ids(all) = &mut self.numbers else { return &mut [] };
        grow(all, &mut self.count, self.width)
    }

    /// Adds a row of zeros and returns it, for [`Input::Values`]; without a place to write to
    /// where the model takes ids.
    pub fn values(&mut self) -> &mut [f32] {
        let Numbers::Values(all) = &mut self.numbers else { return &mut [] };
        grow(all, &mut self.count, self.width)
    }

    /// Row `at`; empty when out of range.
    #[must_use]
    pub fn row(&self, at: usize) -> Row<'_> {
        self.part(at, 1)
    }

    /// `count` rows from `at` on, in one; empty when out of range.
    pub(crate) fn part(&self, at: usize, count: usize) -> Row<'_> {
        let range = at * self.width..(at + count) * self.width;
        match &self.numbers {
            Numbers::Ids(all) => Row::Ids(all.get(range).unwrap_or_default()),
            Numbers::Values(all) => Row::Values(all.get(range).unwrap_or_default()),
        }
    }
}

fn grow<'a, T: Copy + Default>(
    all: &'a mut Vec<T>,
    count: &mut usize,
    width: usize,
) -> &'a mut [T] {
    let from = all.len();
    all.resize(from + width, T::default());
    *count += 1;
    all.get_mut(from..).unwrap_or_default()
}
