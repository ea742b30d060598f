//! What exactly an action does, and exactly how it is undone.
//!
//! A [`Step`] is typed; its text is for a reader and for outcomes. Nothing here ever becomes a
//! line for a shell: an effector takes the step's fields, as netlink attributes or parameters.

use crate::Network;
use magsentinel_bus_schema::{Effect, entity::ENTITY_CHARS_MAX};
use std::net::IpAddr;

/// The nftables table that belongs to the mesh alone.
pub const NFT_TABLE: &str = "inet magsentinel";

/// Name of PostgreSQL as a system that holds sessions and knows users.
pub const POSTGRESQL: &str = "postgresql";

/// Bytes of a role's name in PostgreSQL: `NAMEDATALEN - 1`. It cuts a longer name, and the rest
/// may be another role.
const ROLE_BYTES_MAX: usize = 63;

/// Characters of a notification that are repeated in its outcome.
const MESSAGE_CHARS_MAX: usize = 1000;

/// One change of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Add an element to a set of dropped addresses; the kernel takes it out by itself.
    DropPackets {
        /// The address, or the /64 of an IPv6 address.
        network: Network,
        /// How long the kernel keeps it, in seconds.
        timeout_s: u64,
    },
    /// Add an element to a set of addresses that come through at a bounded rate only.
    SlowPackets {
        /// The address, or the /64 of an IPv6 address.
        network: Network,
        /// How long the kernel keeps it, in seconds.
        timeout_s: u64,
    },
    /// End one backend of PostgreSQL.
    EndBackend {
        /// The session.
        session: BackendSession,
        /// Its role, where known: a guard against a process id that was given away again.
        role: Option<String>,
    },
    /// Refuse a role's logins. Sessions that are open stay open.
    RefuseRole {
        /// The role.
        role: String,
    },
    /// Put a name on the list of decisions that gateways and applications watch.
    Decide {
        /// What the name names: `session`, `user`, `key`, `device`, `extension`.
        what: &'static str,
        /// The name.
        name: String,
        /// The system that knows the name, where not everybody does.
        system: Option<String>,
        /// What is decided: `suspended`, `revoked`, `quarantined`.
        state: &'static str,
        /// How long it holds, in seconds.
        ttl_s: u64,
    },
    /// Keep the evidence of the incident.
    Preserve,
    /// Tell people.
    Tell {
        /// What to tell.
        message: String,
    },
}

/// A session of PostgreSQL, as its log's `session_id` names it: start time and process id, both
/// in lower-case hexadecimal (`%c` of `log_line_prefix`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendSession {
    /// Start of the backend, in seconds since 1970.
    pub started_s: u64,
    /// Process id of the backend.
    pub pid: u32,
}

impl std::fmt::Display for BackendSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}.{:x}", self.started_s, self.pid)
    }
}

impl BackendSession {
    /// Reads a session id.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(session: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "session {} is no PostgreSQL session id (start time and process id in \
                 hexadecimal, like 65a1b2c3.4d5e)",
                quoted(session)
            )
        };
        let hex = |text: &str, digits_max: usize| {
            let good = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            let sound = (1..=digits_max).contains(&text.len()) && text.bytes().all(good);
            sound.then(|| u64::from_str_radix(text, 16).ok()).flatten().filter(|n| *n > 0)
        };
        let (started, pid) = session.split_once('.').ok_or_else(wrong)?;
        let started_s = hex(started, 11).ok_or_else(wrong)?;
        let pid = hex(pid, 8).and_then(|p| i32::try_from(p).ok()).ok_or_else(wrong)?;
        Ok(Self { started_s, pid: pid.unsigned_abs() })
    }
}

impl Step {
    /// Whether it is done to a PostgreSQL server.
    #[must_use]
    pub fn is_of_postgresql(&self) -> bool {
        matches!(self, Self::EndBackend { .. } | Self::RefuseRole { .. })
    }

    /// The step of an effect that holds for `ttl_s` seconds.
    ///
    /// # Errors
    /// A sentence that says which name of the effect cannot be what it is said to be.
    pub fn of(effect: &Effect, ttl_s: u64) -> Result<Self, String> {
        let decide = |what, name: &str, system: Option<&str>, state| {
            check_name(what, name)?;
            system.map_or(Ok(()), |system| check_name("system", system))?;
            let system = system.map(str::to_owned);
            Ok(Self::Decide { what, name: name.to_owned(), system, state, ttl_s })
        };
        match effect {
            Effect::BlockAddress { address } => {
                let network = Network::blocked_with(*address);
                Ok(Self::DropPackets { network, timeout_s: ttl_s })
            }
            Effect::BlockPrefix { address, length } => {
                let network = Network::of(*address, *length)?;
                Ok(Self::DropPackets { network, timeout_s: ttl_s })
            }
            Effect::RateLimit { address } => {
                let network = Network::blocked_with(*address);
                Ok(Self::SlowPackets { network, timeout_s: ttl_s })
            }
            Effect::Tarpit { address } => {
                let name = Network::blocked_with(*address).to_string();
                decide("client", &name, None, "tarpit")
            }
            Effect::SuspendSession { session, user, system } if system == POSTGRESQL => {
                user.as_deref().map_or(Ok(()), check_role)?;
                let session = BackendSession::parse(session)?;
                Ok(Self::EndBackend { session, role: user.clone() })
            }
            Effect::SuspendSession { session, system, .. } => {
                decide("session", session, Some(system), "suspended")
            }
            Effect::SuspendUser { user, system } if system == POSTGRESQL => {
                check_role(user)?;
                if user.starts_with("pg_") {
                    return Err(format!("role {} is reserved by PostgreSQL", quoted(user)));
                }
                Ok(Self::RefuseRole { role: user.clone() })
            }
            Effect::SuspendUser { user, system } => decide("user", user, Some(system), "suspended"),
            Effect::RevokeSession { session, system } => {
                decide("session", session, Some(system), "revoked")
            }
            Effect::RevokeUser { user, system } => decide("user", user, Some(system), "revoked"),
            Effect::RevokeKey { key } => decide("key", key, None, "revoked"),
            Effect::SuspendKey { key } => decide("key", key, None, "suspended"),
            Effect::QuarantineDevice { device } => decide("device", device, None, "quarantined"),
            Effect::QuarantineExtension { extension } => {
                decide("extension", extension, None, "quarantined")
            }
            Effect::QuarantinePod { namespace, pod } => {
                check_name("namespace", namespace)?;
                decide("pod", &format!("{namespace}/{pod}"), None, "quarantined")
            }
            Effect::QuarantineNamespace { namespace } => {
                decide("namespace", namespace, None, "quarantined")
            }
            Effect::PreserveEvidence {} => Ok(Self::Preserve),
            Effect::Notify { message } => Ok(Self::Tell { message: message.clone() }),
        }
    }

    /// What it does, exactly, for a reader.
    #[must_use]
    pub fn effect(&self) -> String {
        match self {
            Self::DropPackets { network, timeout_s } => {
                let set = set_of(network);
                format!("add element {NFT_TABLE} {set} {{ {network} timeout {timeout_s}s }}")
            }
            Self::SlowPackets { network, timeout_s } => {
                let set = slowed_set_of(network);
                format!("add element {NFT_TABLE} {set} {{ {network} timeout {timeout_s}s }}")
            }
            Self::EndBackend { session, role } => {
                let guard = role
                    .as_deref()
                    .map_or_else(String::new, |role| format!(" AND usename = {}", literal(role)));
                format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {} \
                     AND trunc(extract(epoch FROM backend_start)) = {}{guard}",
                    session.pid, session.started_s
                )
            }
            Self::RefuseRole { role } => format!("ALTER ROLE {} NOLOGIN", identifier(role)),
            Self::Decide { state, ttl_s, .. } => {
                format!("decide {} {state} for {ttl_s}s", self.decided())
            }
            Self::Preserve => "keep the evidence of the incident".to_owned(),
            Self::Tell { message } => format!("tell the operators: {}", message_of(message)),
        }
    }

    /// How it is undone, exactly, for a reader.
    #[must_use]
    pub fn inverse(&self) -> String {
        match self {
            Self::DropPackets { network, .. } => {
                format!("delete element {NFT_TABLE} {} {{ {network} }}", set_of(network))
            }
            Self::SlowPackets { network, .. } => {
                format!("delete element {NFT_TABLE} {} {{ {network} }}", slowed_set_of(network))
            }
            Self::EndBackend { .. } => {
                "none: an ended session cannot be resumed, and its user may open another".to_owned()
            }
            Self::RefuseRole { role } => format!("ALTER ROLE {} LOGIN", identifier(role)),
            Self::Decide { .. } => format!("withdraw the decision on {}", self.decided()),
            Self::Preserve => "none: evidence is kept".to_owned(),
            Self::Tell { .. } => "none: what was told cannot be untold".to_owned(),
        }
    }

    /// The object of a decision; empty for other steps.
    fn decided(&self) -> String {
        let Self::Decide { what, name, system, .. } = self else { return String::new() };
        let of = system.as_deref().map_or_else(String::new, |s| format!(" of {}", quoted(s)));
        format!("{what} {}{of}", quoted(name))
    }
}

/// The address as it would be blocked, for reasons.
#[must_use]
pub fn blocked_as(address: IpAddr) -> String {
    let network = Network::blocked_with(address);
    if network.is_v4() { network.to_string() } else { format!("{address} (with {network})") }
}

/// Untrusted text for a reader: in quotes, control and invisible characters escaped, cut at 64
/// characters.
#[must_use]
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(64).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{more}")
}

/// The set of our table that a blocked network is an element of.
#[must_use]
pub fn set_of(network: &Network) -> &'static str {
    match (network.is_single(), network.is_v4()) {
        (true, true) => "blocked4",
        (true, false) => "blocked6",
        (false, true) => "prefixes4",
        (false, false) => "prefixes6",
    }
}

/// The set of our table that a slowed address is an element of.
#[must_use]
pub fn slowed_set_of(network: &Network) -> &'static str {
    if network.is_v4() { "slowed4" } else { "slowed6" }
}

fn message_of(message: &str) -> String {
    let cut: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let left_out = message.chars().count().saturating_sub(MESSAGE_CHARS_MAX);
    match left_out {
        0 => format!("{cut:?}"),
        n => format!("{cut:?} and {n} characters more"),
    }
}

/// A name that a reader can tell from another, and that was not cut on its way.
fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err(format!("the {what} has no name"));
    }
    if name.chars().count() >= ENTITY_CHARS_MAX {
        return Err(format!(
            "{what} {} is {ENTITY_CHARS_MAX} characters or longer: it may have been cut, and \
             the rest may name another",
            quoted(name)
        ));
    }
    // `escape_debug` leaves alone what is printable; the three it escapes besides are harmless.
    let odd = |c: &char| !matches!(c, '\'' | '"' | '\\') && c.escape_debug().len() > 1;
    match name.chars().find(odd) {
        Some(c) => Err(format!(
            "{what} {} holds the unprintable character {}",
            quoted(name),
            c.escape_unicode()
        )),
        None => Ok(()),
    }
}

fn check_role(role: &str) -> Result<(), String> {
    check_name("role", role)?;
    if role.len() > ROLE_BYTES_MAX {
        return Err(format!(
            "role {} is longer than PostgreSQL's {ROLE_BYTES_MAX} bytes",
            quoted(role)
        ));
    }
    Ok(())
}

/// A quoted identifier of SQL.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal of PostgreSQL, read alike whatever `standard_conforming_strings` is.
fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        return format!("E'{}'", doubled.replace('\\', "\\\\"));
    }
    format!("'{doubled}'")
}

#[cfg(test)]
mod tests;
