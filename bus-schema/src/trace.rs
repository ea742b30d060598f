//! W3C trace context: what every message says of the trace that it belongs to, in its header
//! `traceparent`.
//!
//! A publisher may give its event one. Where it gave none, the event's trace follows from the
//! event's id: nobody has to carry it, and a replayed event has the trace that it had.

use crate::Id;

/// The trace context of an event that was given none. Nobody recorded it: the flags are 0.
#[must_use]
pub fn of(event: Id) -> String {
    // Neither the trace nor the span may be all zeros.
    let trace = event.as_u128().max(1);
    let [.., a, b, c, d, e, f, g, h] = trace.to_be_bytes();
    let span = u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1);
    format!("00-{trace:032x}-{span:016x}-00")
}

/// The id of the trace, where the text is a trace context that this version can read.
#[must_use]
pub fn id(context: &str) -> Option<&str> {
    let [version, trace, span, flags] = *context.split('-').collect::<Vec<_>>() else {
        return None;
    };
    let hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    let good = version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    (good && !zero(trace) && !zero(span)).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_id_gives_its_trace() {
        let event: Id = "0192d5a0-7e8b-7cc1-9f5e-0123456789ab".parse().unwrap();
        assert_eq!(of(event), "00-0192d5a07e8b7cc19f5e0123456789ab-9f5e0123456789ab-00");
        assert_eq!(id(&of(event)), Some("0192d5a07e8b7cc19f5e0123456789ab"));
        let nil: Id = "00000000-0000-0000-0000-000000000000".parse().unwrap();
        assert!(id(&of(nil)).is_some(), "a publisher may give any id: {}", of(nil));
    }

    #[test]
    fn what_is_no_trace_context_has_no_id() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(id(good), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let capitals = good.to_uppercase();
        let long = "a".repeat(100_000);
        for bad in ["", "00-trace", zeros, &capitals, &good[1..], &long, &format!("{good}-x")] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
