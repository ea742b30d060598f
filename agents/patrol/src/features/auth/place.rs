//! Where an attempt comes from, and how fast somebody would have had to travel.

mod countries;

use crate::{body, features::sketch::hash};
use magsentinel_bus_schema::Fields;
use serde_json::Value;

/// Kilometres by which a located address may be wrong.
const BLUR_KM: f32 = 50.0;
/// The mean radius of the earth, kilometres.
const EARTH_KM: f32 = 6371.0;

/// A place as a body tells it: a point with its blur, names, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Latitude and longitude, degrees, and how far off they may be, kilometres.
    pub point: Option<(f32, f32, f32)>,
    /// The country's name or code, as a hash; where only a point is told, its region of the globe.
    pub country: Option<u64>,
    /// The city, as a hash.
    pub city: Option<u64>,
}

fn degrees(fields: &Fields, names: &[&str], most: f64) -> Option<f32> {
    let number = names.iter().find_map(|name| match body::field(fields, name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })?;
    (number.abs() <= most).then_some(number as f32)
}

fn name_of(fields: &Fields, names: &[&str]) -> Option<String> {
    let text = names.iter().find_map(|name| body::field(fields, name)?.as_str())?;
    let text: String = text.trim().chars().take(64).collect();
    (!text.is_empty()).then(|| text.to_lowercase())
}

impl Place {
    /// What a body says of a place; `None` when it says nothing usable.
    #[must_use]
    pub fn read(fields: &Fields) -> Option<Self> {
        let whole = name_of(fields, &["location"]);
        let pair = whole.as_deref().and_then(|text| text.split_once(','));
        let exact = degrees(fields, &["lat", "latitude"], 90.0)
            .zip(degrees(fields, &["lon", "lng", "longitude"], 180.0))
            .or_else(|| {
                let (lat, lon) = pair?;
                let lat = lat.trim().parse().ok().filter(|lat: &f32| lat.abs() <= 90.0)?;
                Some((lat, lon.trim().parse().ok().filter(|lon: &f32| lon.abs() <= 180.0)?))
            });
        let coded = pair.map(|(_, last)| last.rsplit(',').next().unwrap_or(last).trim());
        let country = name_of(fields, &["country", "country_code", "geo_country"])
            .or_else(|| coded.filter(|code| code.len() == 2).map(str::to_owned));
        let middle = country.as_deref().and_then(countries::middle);
        let city = name_of(fields, &["city"]).or(whole.filter(|_| exact.is_none()));
        let place = Self {
            point: exact.map(|(lat, lon)| (lat, lon, BLUR_KM)).or(middle),
            country: country.map(|name| hash(&name)).or_else(|| exact.map(region)),
            city: city.map(|name| hash(&name)),
        };
        (place != Self::default()).then_some(place)
    }
}

/// What stands for a country where none is told: a field of about a thousand kilometres.
fn region((lat, lon): (f32, f32)) -> u64 {
    hash(&format!("{} {}", (lat / 10.0).round() as i32, (lon / 10.0).round() as i32))
}

/// Kilometres between two points on a great circle, less what both may be off.
#[must_use]
pub(super) fn distance_km(from: (f32, f32, f32), to: (f32, f32, f32)) -> f32 {
    let (lat_a, lat_b) = (from.0.to_radians(), to.0.to_radians());
    let across = ((to.1 - from.1).to_radians() / 2.0).sin().powi(2);
    let along = ((lat_b - lat_a) / 2.0).sin().powi(2);
    let chord = (along + lat_a.cos() * lat_b.cos() * across).clamp(0.0, 1.0);
    (2.0 * EARTH_KM * chord.sqrt().asin() - from.2 - to.2).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Option<Place> {
        Place::read(&Fields(value.as_object().cloned().unwrap_or_default()))
    }

    fn km(from: Value, to: Value) -> f32 {
        let point = |value| read(value).and_then(|place| place.point).unwrap();
        distance_km(point(from), point(to))
    }

    #[test]
    fn distances_are_right_and_forgive_what_a_lookup_gets_wrong() {
        let berlin = json!({"lat": 52.52, "lon": 13.40});
        let tokyo = json!({"location": "35.68, 139.69"});
        assert!((km(berlin.clone(), tokyo) - 8_818.0).abs() < 30.0);
        assert!(km(berlin.clone(), json!({"latitude": "52.9", "longitude": "13.9"})) < 1.0);
        assert!(km(json!({"country": "DE"}), json!({"country": "AT"})) < 200.0);
        assert!(km(json!({"location": "Berlin, DE"}), json!({"country": "au"})) > 10_000.0);
        let poles = km(json!({"lat": 90, "lon": 0}), json!({"lat": -90, "lon": 180}));
        assert!((poles - 19_915.0).abs() < 10.0, "{poles}");
    }

    #[test]
    fn what_is_no_place_is_absent() {
        for wrong in [
            json!({"lat": 1e300, "lon": 3}),
            json!({"lat": "NaN", "lon": 3}),
            json!({"lat": 91, "lon": 3}),
            json!({"lat": [], "lon": {}}),
            json!({"country": 7, "city": " "}),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}
