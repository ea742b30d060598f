//! `auth.log` (`secure`): sshd, su, sudo, logins and accounts → `auth`.
//!
//! A user name is chosen by whoever knocks, and stands in the middle of sshd's lines. So every
//! rule is anchored on the side that the client cannot write on: `Failed password for x from
//! 198.51.100.1 port 1 ssh2 from 203.0.113.9 port 40022 ssh2` comes from 203.0.113.9. Where both
//! sides can hold the client's text (a refused certificate's key id follows the address) and a
//! second address is there, the event says `ambiguous` and names no address.
//!
//! What only ends a line is claimed: a line that was cut might end the same way (see [`rules`]). So
//! is a host name where an address belongs (`UseDNS yes`): names are not acted on.
//!
//! Some lines name no address; it is taken over from an earlier line of the same process, until
//! that process has said that its connection ended.

pub mod rules;

use super::{Found, Parsed, Reject, body::Body, recent::Recent, syslog, when::Zone};
use magsentinel_bus_schema::{Kind, Timestamp, entity::CLAIMED};
use rules::{Match, Meaning};
use std::{net::IpAddr, time::Duration};

/// How long after the end of its connection a process may still say something about it.
const AFTERWORD: Duration = Duration::from_secs(5);

/// Programs whose unknown messages are worth an event of their own (`other`).
const TALKATIVE: &[&str] = &[
    "sshd",
    "su",
    "sudo",
    "login",
    "systemd-logind",
    "ftpd",
    "vsftpd",
    "chpasswd",
    "passwd",
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
];

/// The address of a process's peer.
#[derive(Debug, Clone)]
struct Peer {
    address: String,
    /// Named by a whole line, and an address.
    proven: bool,
    ended: Option<Timestamp>,
}

/// Reads authentication logs.
#[derive(Debug)]
pub struct Parser {
    zone: Zone,
    peers: Recent<Peer>,
}

impl Parser {
    /// `sessions_max` bounds the processes whose peer is remembered.
    #[must_use]
    pub fn new(zone: Zone, sessions_max: usize) -> Self {
        Self { zone, peers: Recent::new(sessions_max) }
    }

    /// Reads one line.
    pub fn line(&mut self, text: &str, received: Timestamp) -> Result<Parsed, Reject> {
        let Some(line) = syslog::split(text, received, &self.zone)? else {
            return Ok(Parsed::Skipped("syslog_note"));
        };
        // OpenSSH 9.8 split the daemon: its children have names of their own.
        let service = match line.program {
            "sshd-session" | "sshd-auth" => "sshd",
            other => other,
        };
        let program = service.split('(').next().unwrap_or(service);
        let (repeated, message) = rules::repeated(line.message);
        let said = match rules::read(program, message) {
            Meaning::Known(said) if !half_address(&said) => said,
            Meaning::Known(_) | Meaning::Cut => {
                return Err(Reject::new(
                    "message begins like one of a known form and does not end like it: it was cut",
                ));
            }
            Meaning::Unknown if TALKATIVE.contains(&program) => {
                Match { event: "other", ..Match::default() }
            }
            Meaning::Unknown => return Ok(Parsed::Skipped("not_authentication")),
        };
        Ok(self.event(&line, service, repeated, &said, text, received))
    }

    fn event(
        &mut self,
        line: &syslog::Line<'_>,
        service: &str,
        repeated: Option<u64>,
        said: &Match<'_>,
        raw: &str,
        received: Timestamp,
    ) -> Parsed {
        let peer = self.peer(line, service, said, line.ts.unwrap_or(received));
        let claimed = claimed(said, peer.as_ref());
        let mut body = Body::new()
            .text("host", line.host)
            .text("service", service)
            .text("event", said.event)
            .text("user", said.user)
            .text("actor", said.actor)
            .text("target_user", said.target)
            .text("src_ip", peer.as_ref().map(|peer| peer.address.as_str()))
            .value("src_port", said.port.and_then(|p| p.parse::<u16>().ok()))
            .text("session", line.tag)
            .text("method", said.method)
            .text("command", said.command)
            .text("outcome", said.outcome)
            .value("repeated", repeated);
        if said.ambiguous {
            body = body.value("ambiguous", Some(true));
        }
        if !claimed.is_empty() {
            body = body.value(CLAIMED, Some(claimed));
        }
        let body = body.text("raw", raw).done();
        Parsed::Events(vec![Found { kind: Kind::Auth, ts: line.ts, body }])
    }

    /// The address that the line names, else the one that its process named before.
    fn peer(
        &mut self,
        line: &syslog::Line<'_>,
        service: &str,
        said: &Match<'_>,
        at: Timestamp,
    ) -> Option<Peer> {
        // Without a process id nothing tells two processes apart.
        let remote = ["sshd", "ftpd", "vsftpd"].iter().any(|p| service.starts_with(p));
        let own = said.address.filter(|a| !a.is_empty()).map(|address| Peer {
            address: address.to_owned(),
            proven: is_address(address) && !said.open.contains(&"ip"),
            ended: None,
        });
        if !remote || !line.tag.ends_with(']') || said.ambiguous {
            return own;
        }
        let key = format!("{} {}", line.host, line.tag);
        let known = self.peers.get(&key).cloned();
        let same = |p: &Peer| known.as_ref().is_some_and(|k| k.address == p.address && k.proven);
        let own = own.map(|peer| Peer { proven: peer.proven || same(&peer), ..peer });
        let fresh = |p: &Peer| p.ended.is_none_or(|ended| at.since(ended) <= AFTERWORD);
        let peer = own.or_else(|| known.clone().filter(fresh))?;
        let before = known.filter(|p| p.address == peer.address).and_then(|p| p.ended);
        let ended = if said.ends { Some(at) } else { before.filter(|e| *e <= at) };
        self.peers.put(&key, Peer { ended, ..peer.clone() });
        Some(peer)
    }
}

/// An address in figures, also one of IPv6 with its interface (`fe80::1%eth0`).
fn is_address(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

/// A message that ends in an address of which the end is missing.
fn half_address(said: &Match<'_>) -> bool {
    let end = said.address.filter(|_| said.open.contains(&"ip"));
    let figures =
        |text: &str| text.contains(':') || text.bytes().all(|b| b"0123456789.".contains(&b));
    end.is_some_and(|text| figures(text) && !is_address(text))
}

/// The fields that nothing vouches for.
fn claimed(said: &Match<'_>, peer: Option<&Peer>) -> Vec<&'static str> {
    let open = |group: &str| said.open.contains(&group);
    let fields = [
        ("user", said.user.is_some() && open("user")),
        ("actor", said.actor.is_some() && open("actor")),
        ("target_user", said.target.is_some() && open("target")),
        ("src_ip", peer.is_some_and(|peer| !peer.proven)),
    ];
    fields.into_iter().filter(|(_, claimed)| *claimed).map(|(field, _)| field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parser() -> Parser {
        Parser::new(Zone::named("UTC").unwrap(), 16)
    }

    fn read_with(parser: &mut Parser, line: &str) -> Value {
        let received = "2026-11-21T20:00:00Z".parse().unwrap();
        match parser.line(line, received) {
            Ok(Parsed::Events(found)) => {
                let mut body = found[0].body.0.clone();
                body.remove("raw");
                body.insert("ts".into(), json!(found[0].ts.map(|t| t.to_string())));
                Value::Object(body)
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    fn read(message: &str) -> Value {
        read_with(&mut parser(), &format!("Nov 21 19:59:58 web-1 sshd[811]: {message}"))
    }

    fn told(body: &Value) -> (&str, &str, &str, u64) {
        let text = |f: &str| body[f].as_str().unwrap_or("-");
        (text("event"), text("user"), text("src_ip"), body["src_port"].as_u64().unwrap_or(0))
    }

    #[test]
    fn the_lines_of_old_and_new_servers_are_read() {
        let cases = [
            (
                "Failed password for root from 203.0.113.9 port 40022 ssh2",
                ("failed_password", "root", "203.0.113.9", 40022),
            ),
            (
                "Failed password for invalid user bob from 2001:db8::9 port 1 ssh2",
                ("failed_password", "bob", "2001:db8::9", 1),
            ),
            (
                "Accepted publickey for ann from 192.0.2.7 port 2 ssh2: ED25519 SHA256:abc",
                ("accepted", "ann", "192.0.2.7", 2),
            ),
            (
                "Invalid user admin from 203.0.113.9 port 3",
                ("invalid_user", "admin", "203.0.113.9", 3),
            ),
            (
                "Connection closed by authenticating user root 203.0.113.9 port 4 [preauth]",
                ("conn_closed", "root", "203.0.113.9", 4),
            ),
            ("Disconnected from user ann 192.0.2.7 port 5", ("disconnect", "ann", "192.0.2.7", 5)),
            (
                "Received disconnect from 2001:db8::9 port 6:11: Bye Bye [preauth]",
                ("disconnect_preauth", "-", "2001:db8::9", 6),
            ),
            (
                "Disconnecting invalid user bob 203.0.113.9 port 7: Too many authentication \
                 failures [preauth]",
                ("max_attempts", "bob", "203.0.113.9", 7),
            ),
            (
                "pam_unix(sshd:session): session opened for user ann(uid=1000) by (uid=0)",
                ("session_opened", "ann", "-", 0),
            ),
            (
                "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh \
                 ruser= rhost=203.0.113.9  user=root",
                ("auth_failure", "root", "203.0.113.9", 0),
            ),
            (
                "reverse mapping checking getaddrinfo for a.example [203.0.113.9] failed - \
                 POSSIBLE BREAK-IN ATTEMPT!",
                ("break_in_attempt", "-", "203.0.113.9", 0),
            ),
            ("Unable to negotiate with somebody", ("other", "-", "-", 0)),
        ];
        for (message, want) in cases {
            assert_eq!(told(&read(message)), want, "{message}");
        }
    }

    #[test]
    fn a_forged_user_name_cannot_put_the_blame_on_another_address() {
        for message in [
            "Failed password for invalid user x from 198.51.100.1 port 22 ssh2 from \
             203.0.113.9 port 9 ssh2",
            "Failed password for invalid user x from 198.51.100.1 port 22 ssh2: y from \
             203.0.113.9 port 9 ssh2",
            "Invalid user x from 198.51.100.1 port 22 from 203.0.113.9 port 9",
            "Connection closed by invalid user x 198.51.100.1 port 22 203.0.113.9 port 9 [preauth]",
            "Received disconnect from 203.0.113.9 port 9:11: from 198.51.100.1 port 22:11: x \
             [preauth]",
        ] {
            let body = read(message);
            assert_eq!(
                (body["src_ip"].as_str(), body["src_port"].as_u64()),
                (Some("203.0.113.9"), Some(9)),
                "{message}"
            );
        }
        let body = read(
            "Failed publickey for ann from 203.0.113.9 port 9 ssh2: RSA-CERT SHA256:x ID \
             z from 198.51.100.1 port 22 ssh2 (serial 0) CA RSA SHA256:y",
        );
        assert_eq!((&body["src_ip"], &body["ambiguous"]), (&Value::Null, &json!(true)));
    }

    #[test]
    fn an_address_is_taken_over_within_a_process_and_not_beyond_its_connection() {
        let mut parser = parser();
        let mut at = |time: &str, message: &str| {
            let line = format!("Nov 21 {time} web-1 sshd[811]: {message}");
            read_with(&mut parser, &line)["src_ip"].clone()
        };
        at("19:00:00", "Invalid user bob from 203.0.113.9 port 3");
        assert_eq!(at("19:00:01", "pam_unix(sshd:auth): check pass; user unknown"), "203.0.113.9");
        at("19:00:02", "Connection closed by 203.0.113.9 port 3 [preauth]");
        assert_eq!(at("19:00:03", "PAM service(sshd) ignoring max retries; 6 > 3"), "203.0.113.9");
        // The process id was given to another connection since.
        assert_eq!(at("19:30:00", "pam_unix(sshd:auth): check pass; user unknown"), Value::Null);
    }

    #[test]
    fn su_sudo_and_accounts_say_who_and_to_whom() {
        let mut p = parser();
        let mut read = |rest: &str| read_with(&mut p, &format!("Nov 21 19:59:58 web-1 {rest}"));
        let sudo = read("sudo:   ann : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/su - ; x");
        assert_eq!((&sudo["event"], &sudo["user"]), (&json!("sudo_command"), &json!("ann")));
        assert_eq!(sudo["command"], "/bin/su - ; x");
        let refused = read(
            "sudo: bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
        );
        assert_eq!(refused["event"], "sudo_failed");
        let su = read("su[3]: Successful su for root by ann");
        assert_eq!((&su["actor"], &su["target_user"]), (&json!("ann"), &json!("root")));
        assert_eq!(read("su[3]: FAILED su for root by bob")["event"], "su_failed");
        let cron = read("CRON[9]: pam_unix(cron:session): session closed for user root");
        assert_eq!((&cron["event"], &cron["src_ip"]), (&json!("session_closed"), &Value::Null));
        let modern = "2026-11-21T19:59:58.123456+01:00 web-1 sshd-session[7]: Accepted \
                      password for ann from 192.0.2.7 port 2 ssh2";
        let body = read_with(&mut parser(), modern);
        assert_eq!(
            (&body["service"], &body["ts"]),
            (&json!("sshd"), &json!("2026-11-21T18:59:58.123456Z"))
        );
        let repeated = read(
            "sshd[1]: message repeated 3 times: [ Failed password for root from \
             203.0.113.9 port 1 ssh2]",
        );
        assert_eq!(
            (&repeated["repeated"], &repeated["src_ip"]),
            (&json!(3), &json!("203.0.113.9"))
        );
    }

    #[test]
    fn other_programs_are_skipped_and_other_texts_rejected() {
        let mut p = parser();
        let now = "2026-11-21T20:00:00Z".parse().unwrap();
        let mut read = |line: &str| p.line(line, now);
        for (line, reason) in [
            ("Nov 21 19:59:58 web-1 kernel: oom", "not_authentication"),
            ("Nov 21 19:59:58 web-1 CRON[1]: (root) CMD (true)", "not_authentication"),
            ("Nov 21 19:59:58 web-1 last message repeated 3 times", "syslog_note"),
        ] {
            assert_eq!(read(line), Ok(Parsed::Skipped(reason)), "{line}");
        }
        for line in ["word", "Nov 21 19:59:58", "Failed password for root from 192.0.2.1", "{}"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
