//! Building a body: absent and empty values leave no trace in it.

use magsentinel_bus_schema::Fields;
use serde_json::{Map, Value};

/// A body under construction.
#[derive(Clone, Debug, Default)]
pub struct Body(Map<String, Value>);

impl Body {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text, unless it is absent or empty.
    #[must_use]
    pub fn text<'a>(self, field: &str, value: impl Into<Option<&'a str>>) -> Self {
        let value = value.into().filter(|v| !v.is_empty());
        self.value(field, value)
    }

    /// Adds a value, unless it is absent.
    #[must_use]
    pub fn value(mut self, field: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(field.to_owned(), value.into());
        }
        self
    }

    /// The body.
    #[must_use]
    pub fn done(self) -> Fields {
        Fields(self.0)
    }
}
