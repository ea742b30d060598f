//! What one body says about an attempt to get in: who, from where, with what, and how it ended.
//!
//! Publishers spell the outcome in many ways. A field that says nothing but the outcome counts
//! first, then a status code, then the event's name, then a Windows event id. Coordinates that lie
//! on no globe, and whatever else is no value of its kind, count as absent.

use super::{agent::Agent, place::Place};
use crate::{body, features::sketch::hash};
use magsentinel_bus_schema::{Class, Fields, key};
use serde_json::Value;
use std::net::IpAddr;

/// Most failures that one body may stand for.
const REPEATED_MAX: u64 = 1000;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Refused.
    Failure,
    /// The server hung up after too many tries, of which it may have told none.
    GivenUp,
    /// Let in.
    Success,
    /// A connection that came to nothing: no tries are known.
    Noise,
    /// Anything else: a session's end, a command.
    Other,
}

/// Why an attempt was refused, where the event says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A wrong password, or nothing is said.
    Password,
    /// There is no such account.
    Unknown,
    /// The password has expired.
    Expired,
    /// The account is locked or disabled.
    Locked,
}

/// One event of authentication; names as hashes, what is absent as `None`.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// When, microseconds UTC.
    pub ts_us: i64,
    /// `ts_us` says when: else the attempt only came after the one before.
    pub timed: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Reason,
    /// How many attempts the body stands for, 1..=1000.
    pub times: f32,
    /// The event's name, folded; two reports of one attempt have different names.
    pub name: u64,
    /// The account tried.
    pub user: Option<u64>,
    /// The account has a name that every list of guesses begins with.
    pub user_default: bool,
    /// The address or name of the client.
    pub address: Option<u64>,
    /// Its neighbourhood: the first 16 bits of an IPv4 address, 32 of an IPv6 one.
    pub network: Option<u64>,
    /// The address is of a private range, or no address at all.
    pub private: bool,
    /// The server tried.
    pub host: Option<u64>,
    /// Connection or process: attempts of one session may be told several times.
    pub session: Option<u64>,
    /// What the client says it is.
    pub agent: Option<Agent>,
    /// A device's own name, else the client's words about itself.
    pub device: Option<u64>,
    /// A key, a certificate or a ticket was shown, no password typed.
    pub keyed: bool,
    /// Where the client is.
    pub place: Option<Place>,
}

/// Lower case, words joined by `_`, at most 64 characters: `Login Failed` is `login_failed`.
fn folded(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars().take(64) {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'A'..='Z' => out.push(c.to_ascii_lowercase()),
            _ if out.ends_with('_') || out.is_empty() => {}
            _ => out.push('_'),
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    out
}

/// A field as short text: text as it is, a number or truth value in words; else absent.
fn said(fields: &Fields, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match body::field(fields, name)? {
        Value::String(text) if !text.trim().is_empty() => {
            Some(text.trim().chars().take(256).collect())
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    })
}

/// The hash of a name, in lower case, for what is compared but never shown.
fn named(fields: &Fields, names: &[&str]) -> Option<u64> {
    said(fields, names).map(|text| hash(&text.to_lowercase()))
}

const FAILED: &[&str] = &[
    "fail",
    "denied",
    "deny",
    "reject",
    "refus",
    "invalid",
    "incorrect",
    "wrong",
    "bad_",
    "unknown",
    "unauthori",
    "mismatch",
    "error",
    "lockout",
    "locked",
    "illegal",
    "forbidden",
    "blocked",
];
const LET_IN: &[&str] =
    &["success", "accept", "allow", "granted", "logged_in", "signed_in", "logged_on", "passed"];
const SIGN_IN: &[&str] = &["login", "logon", "signin", "sign_in", "authenticated"];
const NO_ATTEMPT: &[&str] = &["logoff", "logout", "log_out", "sign_out", "signout", "attempt"];

fn has(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// The outcome that a field of its own gives.
fn outcome_of_word(word: &str) -> Option<Outcome> {
    match word {
        "ok" | "yes" | "true" | "1" | "pass" | "valid" => Some(Outcome::Success),
        "ko" | "no" | "false" | "0" | "bad" => Some(Outcome::Failure),
        word if has(word, FAILED) => Some(Outcome::Failure),
        word if has(word, LET_IN) => Some(Outcome::Success),
        _ => None,
    }
}

/// Windows and Kerberos status codes (`0x…`), or those of HTTP: whether it failed, and why.
fn outcome_of_status(status: &str, name: &str) -> Option<(Outcome, Reason)> {
    let lower = status.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return match u64::from_str_radix(hex, 16).ok()? {
            // A recorded failure without a code is still a failure.
            0 if has(name, FAILED) => None,
            0 => Some((Outcome::Success, Reason::Password)),
            0x6 | 0xc000_0064 => Some((Outcome::Failure, Reason::Unknown)),
            0x17 | 0xc000_0071 | 0xc000_0224 => Some((Outcome::Failure, Reason::Expired)),
            0x12 | 0xc000_0234 | 0xc000_0072 => Some((Outcome::Failure, Reason::Locked)),
            // Not yet authenticated: the client is asked to try again with more.
            0x19 => Some((Outcome::Other, Reason::Password)),
            _ => Some((Outcome::Failure, Reason::Password)),
        };
    }
    match lower.parse::<u32>().ok()? {
        200..=399 => Some((Outcome::Success, Reason::Password)),
        423 => Some((Outcome::Failure, Reason::Locked)),
        400..=429 => Some((Outcome::Failure, Reason::Password)),
        _ => None,
    }
}

/// The outcome that an event's name tells.
fn outcome_of_name(name: &str) -> Option<Outcome> {
    Some(match name {
        "check_pass_unknown" | "invalid_user" | "invalid_user_auth" => Outcome::Failure,
        "max_attempts" | "too_many_failures" => Outcome::GivenUp,
        "disconnect_preauth" | "conn_closed" | "no_identification" | "break_in_attempt"
        | "ftp_connect" | "connect" | "account_locked" | "account_lockout" => Outcome::Noise,
        "session_opened"
        | "session_closed"
        | "logind_new_session"
        | "disconnect"
        | "su"
        | "sudo_command"
        | "passwd_change"
        | "useradd"
        | "other"
        | "explicit_credentials"
        | "special_privileges"
        | "kerberos_service_ticket" => Outcome::Other,
        "kerberos_tgt" | "ntlm_validation" => Outcome::Success,
        name if name.starts_with("cowrie_") && !name.starts_with("cowrie_login") => Outcome::Other,
        name if has(name, NO_ATTEMPT) => Outcome::Other,
        name if has(name, FAILED) => Outcome::Failure,
        name if has(name, LET_IN) || has(name, SIGN_IN) => Outcome::Success,
        _ => return None,
    })
}

fn outcome_of_id(id: &str) -> Option<Outcome> {
    Some(match id {
        "4624" | "4768" | "4776" => Outcome::Success,
        "4625" | "4771" => Outcome::Failure,
        "4740" => Outcome::Noise,
        "4634" | "4647" | "4648" | "4672" | "4769" => Outcome::Other,
        _ => return None,
    })
}

fn reason_of(name: &str, why: &str) -> Reason {
    let either = |words: &[&str]| has(name, words) || has(why, words);
    if either(&["invalid_user", "user_unknown", "unknown_user", "pass_unknown", "no_such"]) {
        Reason::Unknown
    } else if either(&["expire", "must_change"]) {
        Reason::Expired
    } else if either(&["locked", "lockout", "disabled"]) {
        Reason::Locked
    } else {
        Reason::Password
    }
}

/// Whether PAM tells of a failure and names nobody: it leaves out who was tried only where there is
/// no such account. Who tells no names at all is no PAM, which always says for which service.
fn unnamed_by_pam(fields: &Fields, name: &str, user: Option<&str>) -> bool {
    let pam = matches!(name, "auth_failure" | "authentication_failure");
    pam && user.is_none() && said(fields, &["service"]).is_some()
}

/// How a body says that it ended, and why; an error when it says nothing of the kind.
fn ending(fields: &Fields, name: &str) -> Result<(Outcome, Reason), String> {
    let word = said(fields, &["outcome", "result", "success"]).map(|text| folded(&text));
    let status = said(fields, &["status", "sub_status", "status_code"]);
    let id = said(fields, &["event_id"]);
    if word.is_none() && status.is_none() && id.is_none() && name.is_empty() {
        return Err("body has no event: an auth event must say what happened".to_owned());
    }
    let why = said(fields, &["reason", "failure_reason", "sub_status"]).map(|text| folded(&text));
    let reason = reason_of(name, why.as_deref().unwrap_or_default());
    let by_name = outcome_of_name(name);
    // What is no attempt stays none, whatever became of it: a changed password, a command.
    let settled = matches!(by_name, Some(Outcome::Other | Outcome::Noise | Outcome::GivenUp));
    let by_word = word.as_deref().and_then(outcome_of_word).filter(|_| !settled);
    let by_status = status.as_deref().filter(|_| !settled).and_then(|status| {
        let folded = folded(status);
        outcome_of_status(status, name)
            .or_else(|| Some((outcome_of_word(&folded)?, reason_of(&folded, ""))))
    });
    let known = |outcome| (outcome, reason);
    let by_status = by_status.map(|(outcome, told)| match told {
        Reason::Password => (outcome, reason),
        told => (outcome, told),
    });
    Ok(match by_word {
        Some(outcome) => (outcome, by_status.map_or(reason, |(_, told)| told)),
        None => by_status
            .or_else(|| by_name.map(known))
            .or_else(|| id.as_deref().and_then(outcome_of_id).map(known))
            .unwrap_or((Outcome::Other, reason)),
    })
}

/// Accounts that exist, or are guessed, everywhere.
const DEFAULT_USERS: &[&str] = &[
    "root",
    "admin",
    "administrator",
    "user",
    "guest",
    "oracle",
    "postgres",
    "mysql",
    "ubnt",
    "pi",
    "support",
    "ftp",
    "ftpuser",
    "git",
    "jenkins",
    "deploy",
    "nagios",
    "zabbix",
    "tomcat",
    "hadoop",
    "www-data",
    "webmaster",
    "service",
    "default",
    "demo",
    "student",
    "sa",
    "vagrant",
    "ansible",
    "minecraft",
    "operator",
    "backup",
    "info",
    "sales",
    "office",
    "scanner",
    "anonymous",
    "daemon",
];

fn is_default(user: &str) -> bool {
    let user = user.to_ascii_lowercase();
    let stem = user.trim_end_matches(|c: char| c.is_ascii_digit());
    DEFAULT_USERS.contains(&user.as_str())
        || DEFAULT_USERS.contains(&stem)
        || stem.starts_with("test")
        || user.is_empty()
}

/// The neighbourhood of an address, and whether it is of a private range. A client that is named
/// by a host name belongs to the last two parts of it.
fn network_of(address: &str) -> (u64, bool) {
    match address.trim_end_matches(':').parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => {
            let [a, b, ..] = ip.octets();
            let private = ip.is_private() || ip.is_loopback() || ip.is_link_local();
            (hash(&format!("{a}.{b}")), private)
        }
        Ok(IpAddr::V6(ip)) => {
            let [a, b, ..] = ip.segments();
            let private = ip.is_loopback() || a & 0xfe00 == 0xfc00 || a & 0xffc0 == 0xfe80;
            (hash(&format!("{a:x}:{b:x}")), private)
        }
        Err(_) => {
            let from = address.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1);
            (hash(address.get(from..).unwrap_or(address)), !address.contains('.'))
        }
    }
}

impl Attempt {
    /// Reads a body; an error names what makes it no event of authentication.
    pub fn read(fields: &Fields, ts_us: i64) -> Result<Self, String> {
        let name = body::text(fields, &["event"])?.map(folded).unwrap_or_default();
        let (outcome, reason) = ending(fields, &name)?;
        let user = said(fields, &["user", "actor", "target_user"]);
        let reason =
            if unnamed_by_pam(fields, &name, user.as_deref()) { Reason::Unknown } else { reason };
        let address = said(fields, &["client", "src_ip", "client_ip", "ip"]);
        let around = address.as_deref().map(network_of);
        let agent = said(fields, &["user_agent", "agent", "client_version", "application"]);
        let agent = agent.as_deref().map(Agent::of);
        let method = said(fields, &["method", "auth_method"]).map(|text| folded(&text));
        let repeated = body::count(fields, &["repeated"]).ok().flatten().unwrap_or(1);
        Ok(Self {
            ts_us,
            timed: true,
            outcome,
            reason,
            times: repeated.clamp(1, REPEATED_MAX) as f32,
            name: hash(&name),
            user_default: user.as_deref().is_some_and(is_default),
            user: user.map(|text| hash(&key::account(&text))),
            network: around.map(|(network, _)| network),
            private: around.is_some_and(|(_, private)| private),
            address: address.map(|text| hash(&key::of(Class::Client, &text, fields))),
            host: named(fields, &["host", "server"]),
            session: named(fields, &["session"]),
            device: named(fields, &["device", "device_id", "src_host", "workstation"])
                .or(agent.map(|agent| agent.family)),
            agent,
            keyed: method.is_some_and(|m| has(&m, &["publickey", "hostbased", "gssapi", "cert"])),
            place: Place::read(fields),
        })
    }

    /// Whether somebody tried to get in.
    #[must_use]
    pub fn is_attempt(&self) -> bool {
        matches!(self.outcome, Outcome::Failure | Outcome::GivenUp | Outcome::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Attempt, String> {
        Attempt::read(&Fields(value.as_object().cloned().unwrap_or_default()), 0)
    }

    #[test]
    fn outcomes_are_recognised_however_they_are_spelt() {
        use Outcome::{Failure, GivenUp, Noise, Other, Success};
        for (body, want) in [
            (json!({"event": "failed_password"}), Failure),
            (json!({"event": "Login Failed"}), Failure),
            (json!({"event": "LoginFailure"}), Failure),
            (json!({"event": "login", "outcome": "FAILURE"}), Failure),
            (json!({"event": "login", "outcome": "success"}), Success),
            (json!({"event": "login", "success": false}), Failure),
            (json!({"event": "sign-in", "status": 401}), Failure),
            (json!({"event": "sign-in", "status": "200"}), Success),
            (json!({"event": "accepted"}), Success),
            (json!({"event": "logon"}), Success),
            (json!({"event": "logoff"}), Other),
            (json!({"event": "cowrie.login.failed"}), Failure),
            (json!({"event": "cowrie.login.success"}), Success),
            (json!({"event": "cowrie.command.failed"}), Other),
            (json!({"event": "max_attempts"}), GivenUp),
            (json!({"event": "disconnect_preauth"}), Noise),
            (json!({"event": "passwd_change", "outcome": "failure"}), Other),
            (json!({"event": "su_failed"}), Failure),
            (json!({"event_id": 4625}), Failure),
            (json!({"event_id": "4624"}), Success),
            (json!({"event": "logon_failure", "event_id": 4625, "status": "0x0"}), Failure),
            (json!({"event": "kerberos_tgt", "event_id": 4768, "status": "0x6"}), Failure),
            (json!({"event": "kerberos_tgt", "event_id": 4768, "status": "0x0"}), Success),
            (json!({"event": "ntlm_validation", "status": "0xc000006a"}), Failure),
            (json!({"event": "weather"}), Other),
        ] {
            assert_eq!(read(body.clone()).unwrap().outcome, want, "{body}");
        }
        assert!(read(json!({"user": "ann"})).unwrap_err().contains("no event"));
        assert!(read(json!({"event": ["x"]})).unwrap_err().contains("event is a list"));
    }

    #[test]
    fn reasons_names_and_networks_are_told_apart() {
        let attempt = read(json!({
            "event": "logon_failure", "status": "0xC0000071", "target_user": "ann",
            "src_ip": "::ffff:10.1.2.3", "lat": "1e300", "lon": 4, "repeated": 1e300,
        }));
        let attempt = attempt.unwrap();
        assert_eq!(attempt.reason, Reason::Expired);
        assert!(attempt.private && attempt.place.is_none() && !attempt.user_default);
        assert!((attempt.times - 1000.0).abs() < 1e-6);
        assert_eq!(attempt.network, Some(network_of("10.1.77.1").0));
        assert!(["root", "test9", "admin1", "Guest"].into_iter().all(is_default));
        assert!(!["roota", "ann", "petersen"].into_iter().any(is_default));
        assert_eq!(network_of("a.b.example.org").0, network_of("z.example.org").0);
    }

    #[test]
    fn whom_pam_does_not_name_does_not_exist() {
        let reason = |body: Value| read(body).unwrap().reason;
        let pam = json!({"event": "auth_failure", "service": "sshd", "session": "sshd[7]"});
        assert_eq!(reason(pam), Reason::Unknown);
        for body in [
            json!({"event": "auth_failure", "service": "sshd", "user": "ann"}),
            json!({"event": "auth_failure", "host": "portal"}),
            json!({"event": "failed_password", "service": "sshd"}),
        ] {
            assert_eq!(reason(body.clone()), Reason::Password, "{body}");
        }
    }
}
