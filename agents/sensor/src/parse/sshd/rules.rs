//! What the messages of sshd, PAM, su, sudo and their kin mean. First rule that matches.

use crate::parse::pattern;
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// What a message says.
#[derive(Clone, Debug, Default)]
pub struct Match<'a> {
    /// Name of the event.
    pub event: &'static str,
    /// Who authenticates.
    pub user: Option<&'a str>,
    /// Who acts, where that is somebody else.
    pub actor: Option<&'a str>,
    /// Who is acted on.
    pub target: Option<&'a str>,
    /// Address of the client.
    pub address: Option<&'a str>,
    /// Port of the client.
    pub port: Option<&'a str>,
    /// Method of authentication.
    pub method: Option<&'a str>,
    /// Command of sudo.
    pub command: Option<&'a str>,
    /// `success` or `failure`, where the event's name does not say it.
    pub outcome: Option<&'static str>,
    /// More than one address may be the client's.
    pub ambiguous: bool,
    /// The connection or session ends here.
    pub ends: bool,
}

/// Programs (none means any), event, pattern. The groups `user`, `ip`, `port`, `method`,
/// `actor`, `target` and `command` count; `{addr}` holds `ip` and `port`.
type Rule = (&'static [&'static str], &'static str, &'static str);

const SSHD: &[&str] = &["sshd"];
const SUDO: &[&str] = &["sudo"];
const SU: &[&str] = &["su"];
const ANY: &[&str] = &[];

const RULES: &[Rule] = &[
    (
        SSHD,
        "failed_password",
        r"^Failed (?<method>\S+) for (?:invalid user )?(?<user>.*) from {addr}(?: ssh\d?)?(?::.*)?$",
    ),
    (
        SSHD,
        "failed_password",
        r"^PAM: Authentication failure for (?:illegal user )?(?<user>.*) from (?<ip>\S+)$",
    ),
    // An accepted user exists, so the name holds no space, and what follows is not the client's.
    (SSHD, "accepted", r"^Accepted (?<method>\S+) for (?<user>\S+) from {addr}"),
    (SSHD, "invalid_user", r"^Invalid user (?<user>.*) from (?<ip>\S+)(?: port (?<port>\d+))?$"),
    (
        SSHD,
        "invalid_user",
        r"^maximum authentication attempts exceeded for invalid user (?<user>.*) from {addr} ssh\d{pre}",
    ),
    (SSHD, "invalid_user_auth", r"^input_userauth_request: invalid user (?<user>.*?){pre}"),
    (
        SSHD,
        "max_attempts",
        r"^maximum authentication attempts exceeded for (?<user>.*) from {addr} ssh\d{pre}",
    ),
    (
        SSHD,
        "max_attempts",
        r"^Disconnecting (?:authenticating|invalid) user (?<user>.*) {addr}: Too many authentication failures{pre}",
    ),
    (
        SSHD,
        "max_attempts",
        r"^Disconnecting: Too many authentication failures(?: for (?<user>.*?))?{pre}",
    ),
    (
        SSHD,
        "max_attempts",
        r"^PAM \d+ more authentication failures;.*? rhost=(?<ip>\S*)(?:\s+user=(?<user>.*))?$",
    ),
    (SSHD, "max_attempts", r"^PAM service\(\S+\) ignoring max retries"),
    (
        ANY,
        "auth_failure",
        r"^(?:{pam}|PAM 1 more )authentication failure;.*? ruser=(?<actor>\S*) rhost=(?<ip>\S*)(?:\s+user=(?<user>.*))?$",
    ),
    (ANY, "check_pass_unknown", r"^{pam}check pass; user unknown"),
    (
        ANY,
        "session_opened",
        r"^{pam}session opened for user (?<user>\S+?)(?:\(uid=\d+\))?(?: by .*)?$",
    ),
    (ANY, "session_closed", r"^{pam}session closed for user (?<user>\S+?)(?:\(uid=\d+\))?$"),
    // The client's own words follow the address, so the first address counts.
    (SSHD, "disconnect", r"^Received disconnect from (?<ip>\S+?)(?: port (?<port>\d+))?:\s?\d+:"),
    (
        SSHD,
        "disconnect",
        r"^Disconnected from (?:(?:authenticating |invalid )?user (?<user>.*) )?{addr}{pre}",
    ),
    (
        SSHD,
        "conn_closed",
        r"^Connection (?:closed|reset) by (?:authenticating |invalid )?user (?<user>.*) {addr}{pre}",
    ),
    (
        SSHD,
        "conn_closed",
        r"^Connection (?:closed|reset) by (?<ip>\S+)(?: port (?<port>\d+))?{pre}",
    ),
    (
        SSHD,
        "no_identification",
        r"^Did not receive identification string from (?<ip>\S+)(?: port (?<port>\d+))?",
    ),
    (
        SSHD,
        "break_in_attempt",
        r"^reverse mapping checking getaddrinfo for .* \[(?<ip>[^\]\s]+)\] failed",
    ),
    (SSHD, "break_in_attempt", r"^Address (?<ip>\S+) maps to .*POSSIBLE BREAK-IN ATTEMPT"),
    (SSHD, "connect", r"^Connection from {addr}"),
    (SSHD, "other", r"^Starting session: .* for \S+ from {addr}"),
    (&["ftpd"], "ftp_connect", r"^connection from (?<ip>\S+)"),
    (
        &["systemd-logind"],
        "logind_new_session",
        r"^New session \S+ of user '?(?<user>[^'\s]+?)'?[.\s]",
    ),
    (
        SUDO,
        "sudo_command",
        r"^\s*(?<user>\S+) : TTY=.*? ; USER=(?<target>\S+) ; (?:.*? ; )?COMMAND=(?<command>.*)$",
    ),
    (
        SUDO,
        "sudo_failed",
        r"^\s*(?<user>\S+) : [^;]+ ; TTY=.*? ; USER=(?<target>\S+) ; (?:.*? ; )?COMMAND=(?<command>.*)$",
    ),
    (SU, "su", r"^Successful su for (?<target>\S+) by (?<actor>\S+)"),
    (SU, "su", r"^\(to (?<target>\S+)\) (?<actor>\S+) on "),
    (SU, "su_failed", r"^FAILED su for (?<target>\S+) by (?<actor>\S+)"),
    (SU, "su_failed", r"^FAILED SU \(to (?<target>\S+)\) (?<actor>\S+) on "),
    (ANY, "passwd_change", r"^{pam}password changed for (?<target>\S+)"),
    (&["chpasswd"], "passwd_change", r#"^{pam}user "(?<target>.*)" does not exist"#),
    (&["useradd", "groupadd"], "useradd", r"^new (?:user|group): name=(?<target>[^,]+)"),
];

static COMPILED: LazyLock<Vec<(&'static Rule, Regex)>> =
    LazyLock::new(|| RULES.iter().map(|rule| (rule, pattern(&spelled_out(rule.2)))).collect());

/// The words that many rules share: an address with its port, the end of a line before
/// authentication, and the name of a PAM module.
fn spelled_out(rule: &str) -> String {
    rule.replace("{addr}", r"(?<ip>\S+) port (?<port>\d+)")
        .replace("{pre}", r"(?: \[preauth\])?$")
        .replace("{pam}", r"(?:pam_\w+\([^)]*\): )?")
}

static ORIGIN: LazyLock<Regex> = LazyLock::new(|| pattern(r" from \S+ port \d+"));

static REPEATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^message repeated (\d+) times: \[ (.*)\]$"));

/// Unwraps rsyslog's `message repeated 3 times: [ … ]`.
#[must_use]
pub fn repeated(message: &str) -> (Option<u64>, &str) {
    let unwrapped = REPEATED.captures(message).and_then(|c| {
        let times = c.get(1)?.as_str().parse().ok()?;
        Some((Some(times), c.get(2)?.as_str()))
    });
    unwrapped.unwrap_or((None, message))
}

/// What a program's message means; `None` when no rule knows it.
#[must_use]
pub fn read<'a>(program: &str, message: &'a str) -> Option<Match<'a>> {
    let message = ["error: ", "fatal: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .unwrap_or(message);
    let (rule, found) = COMPILED
        .iter()
        .filter(|((programs, ..), _)| programs.is_empty() || programs.contains(&program))
        .find_map(|(rule, regex)| Some((*rule, regex.captures(message)?)))?;
    Some(matched(rule.1, message, &found))
}

fn matched<'a>(event: &'static str, message: &'a str, found: &Captures<'a>) -> Match<'a> {
    let group = |name: &str| found.name(name).map(|m| m.as_str()).filter(|s| !s.is_empty());
    let preauth = message.ends_with("[preauth]");
    let method = group("method");
    // Only a key's own text follows the address: only there can both sides be the client's.
    let ambiguous = event == "failed_password"
        && matches!(method, Some("publickey" | "hostbased"))
        && ORIGIN.find_iter(message).count() > 1;
    let missing = event == "passwd_change" && message.ends_with("/etc/passwd");
    Match {
        event: if event == "disconnect" && preauth { "disconnect_preauth" } else { event },
        user: group("user").filter(|_| !ambiguous),
        actor: group("actor"),
        target: group("target"),
        address: group("ip").filter(|_| !ambiguous),
        port: group("port").filter(|_| !ambiguous),
        method,
        command: group("command"),
        outcome: missing.then_some("failure"),
        ambiguous,
        ends: matches!(event, "disconnect" | "conn_closed" | "session_closed"),
    }
}
