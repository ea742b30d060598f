//! How a kept event is written: numbers where messages have words, because a window may hold
//! millions.
//!
//! Each number stands for the same in every version; a test says which.

use magsentinel_bus_schema::{Class, Entity, Id, Kind, Level, Trust};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Every trust, the least first.
const TRUSTS: &[Trust] = &[Trust::Claimed, Trust::Observed, Trust::Verified];

/// What a number stands for.
fn read<'de, D: Deserializer<'de>, T: Copy>(deserializer: D, all: &[T]) -> Result<T, D::Error> {
    let number = u8::deserialize(deserializer)?;
    nth(all, number).ok_or_else(|| D::Error::custom(format!("{number} stands for nothing")))
}

fn nth<T: Copy>(all: &[T], number: u8) -> Option<T> {
    all.get(usize::from(number)).copied()
}

/// An id: half as long as its text.
pub(super) mod id {
    use super::{Deserialize, Deserializer, Id, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(id: &Id, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u128(id.as_u128())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Id, D::Error> {
        u128::deserialize(d).map(Id::from_u128)
    }
}

pub(super) mod kind {
    use super::{Deserializer, Kind, Serializer, read};

    pub(in super::super) fn serialize<S: Serializer>(kind: &Kind, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*kind as u8)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Kind, D::Error> {
        read(d, Kind::ALL)
    }
}

pub(super) mod level {
    use super::{Deserializer, Level, Serializer, read};

    pub(in super::super) fn serialize<S: Serializer>(of: &Level, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u8(*of as u8)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Level, D::Error> {
        read(d, Level::ALL)
    }
}

/// Entities: class and trust in one number, and the name.
pub(super) mod entities {
    use super::{
        Class, Deserialize, Deserializer, Entity, Error, Serialize, Serializer, TRUSTS, nth,
    };

    /// How many classes there can be before a number says something else.
    const CLASSES_MAX: u8 = 32;

    #[derive(Serialize)]
    struct Written<'s>(u8, &'s str);

    #[derive(Deserialize)]
    struct Read(u8, String);

    pub(in super::super) fn serialize<S: Serializer, E: AsRef<[Entity]>>(
        entities: &E,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(entities.as_ref().iter().map(|entity| {
            Written(entity.trust as u8 * CLASSES_MAX + entity.class as u8, &entity.value)
        }))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Entity>, D::Error> {
        let all = Vec::<Read>::deserialize(deserializer)?;
        let entity = |Read(number, value): Read| {
            let class = nth(Class::ALL, number % CLASSES_MAX);
            let trust = nth(TRUSTS, number / CLASSES_MAX);
            let named = class.zip(trust).map(|(class, trust)| Entity { class, value, trust });
            named.ok_or_else(|| D::Error::custom(format!("{number} stands for no entity")))
        };
        all.into_iter().map(entity).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_stands_for_what_it_always_stood_for() {
        fn numbered<T: Copy + PartialEq + std::fmt::Debug>(all: &[T], number: fn(T) -> u8) {
            all.iter().zip(0..).for_each(|(of, n)| assert_eq!(number(*of), n, "{of:?}"));
        }
        numbered(Kind::ALL, |kind| kind as u8);
        numbered(Level::ALL, |level| level as u8);
        numbered(Class::ALL, |class| class as u8);
        numbered(TRUSTS, |trust| trust as u8);
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.token()).collect();
        let known = ["sql", "api", "auth", "data", "extension", "iot", "flow", "dns", "host"];
        assert_eq!(kinds, known, "a new one belongs at the end");
        let classes: Vec<_> = Class::ALL.iter().map(|class| class.token()).collect();
        let known = ["client", "user", "session", "key", "device", "host", "extension", "resource"];
        assert_eq!(classes, known, "a new one belongs at the end");
        let levels: Vec<_> = Level::ALL.iter().map(|level| level.token()).collect();
        assert_eq!(levels, ["none", "low", "medium", "high", "critical"]);
    }
}
