//! The same deed by somebody else: a scored event with other names and addresses.

use magsentinel_bus_schema::{Id, Scored};
use std::net::IpAddr;

/// A scored event with every entity replaced, the same by the same.
pub(super) fn varied(scored: &Scored) -> Scored {
    let mut varied = scored.clone();
    varied.id = Id::derived(&[b"varied".as_slice(), scored.id.as_bytes()]);
    for entity in &mut varied.entities {
        entity.value = replaced(&entity.value);
    }
    varied
}

fn replaced(value: &str) -> String {
    match value.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let [.., last] = address.octets();
            let other = if address.octets().starts_with(&[192, 0, 2]) { 51 } else { 2 };
            if other == 51 { format!("198.51.100.{last}") } else { format!("192.0.2.{last}") }
        }
        Ok(IpAddr::V6(_)) if value.starts_with("2001:db8:77:") => "2001:db8:78::1".to_owned(),
        Ok(IpAddr::V6(_)) => "2001:db8:77::1".to_owned(),
        Err(_) => value.chars().map(next).collect(),
    }
}

fn next(c: char) -> char {
    match c {
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(c as u32 + 1).unwrap_or(c),
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_his_name_and_equal_names_stay_equal() {
        for value in ["ann", "10.0.0.7", "192.0.2.9", "2001:db8:77::9", "fe80::1", "s-19"] {
            assert_ne!(replaced(value), value);
            assert_eq!(replaced(value), replaced(value));
        }
    }
}
