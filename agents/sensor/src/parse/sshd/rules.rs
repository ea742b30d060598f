//! What the messages of sshd, PAM, su, sudo and their kin mean. First rule that matches.
//!
//! A rule matches a message from its first byte to its last, so that one that was cut does not
//! pass for a shorter one. What begins as only a rule's messages do and fits none of them was
//! cut, and is rejected. Some messages end in a name or an address, with nothing behind it that
//! would prove it whole (`session closed for user ann`): such a field is told as claimed.

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
    /// Groups that end the message: nothing proves that they are whole.
    pub open: &'static [&'static str],
    /// The connection or session ends here.
    pub ends: bool,
}

/// Programs (none means any), event, pattern, and the groups that nothing proves to be whole. The
/// groups `user`, `ip`, `port`, `method`, `actor`, `target` and `command` count; `{addr}` holds
/// `ip` and `port`.
type Rule = (&'static [&'static str], &'static str, &'static str, &'static [&'static str]);

const SSHD: &[&str] = &["sshd"];
const SUDO: &[&str] = &["sudo"];
const SU: &[&str] = &["su"];
const ANY: &[&str] = &[];
const WHOLE: &[&str] = &[];
const USER: &[&str] = &["user"];
const IP: &[&str] = &["ip"];
const USER_IP: &[&str] = &["user", "ip"];

const RULES: &[Rule] = &[
    (
        SSHD,
        "failed_password",
        r"^Failed (?<method>publickey|hostbased|gssapi\S*) for (?:invalid user )?(?<user>.*) from {addr} ssh\d(?:: .*)?$",
        WHOLE,
    ),
    (
        SSHD,
        "failed_password",
        r"^Failed (?<method>\S+) for (?:invalid user )?(?<user>.*) from {addr} ssh\d$",
        WHOLE,
    ),
    (
        SSHD,
        "failed_password",
        r"^PAM: Authentication failure for (?:illegal user )?(?<user>.*) from (?<ip>\S+)$",
        USER_IP,
    ),
    // An accepted user exists, so the name holds no space, and what follows is not the client's.
    (
        SSHD,
        "accepted",
        r"^Accepted (?<method>\S+) for (?<user>\S+) from {addr} ssh\d(?:: .*)?$",
        WHOLE,
    ),
    (SSHD, "invalid_user", r"^Invalid user (?<user>.*) from {addr}$", WHOLE),
    // Before version 7.3 the address ended the message.
    (SSHD, "invalid_user", r"^Invalid user (?<user>.*) from (?<ip>{literal})$", USER_IP),
    (
        SSHD,
        "invalid_user",
        r"^maximum authentication attempts exceeded for invalid user (?<user>.*) from {addr} ssh\d{pre}",
        WHOLE,
    ),
    (
        SSHD,
        "invalid_user_auth",
        r"^input_userauth_request: invalid user (?<user>.*) \[preauth\]$",
        WHOLE,
    ),
    (SSHD, "invalid_user_auth", r"^input_userauth_request: invalid user (?<user>.*)$", USER),
    (
        SSHD,
        "max_attempts",
        r"^maximum authentication attempts exceeded for (?<user>.*) from {addr} ssh\d{pre}",
        WHOLE,
    ),
    (
        SSHD,
        "max_attempts",
        r"^Disconnecting (?:authenticating|invalid) user (?<user>.*) {addr}: Too many authentication failures{pre}",
        WHOLE,
    ),
    (
        SSHD,
        "max_attempts",
        r"^Disconnecting: Too many authentication failures(?: for (?<user>.*))? \[preauth\]$",
        WHOLE,
    ),
    (
        SSHD,
        "max_attempts",
        r"^Disconnecting: Too many authentication failures(?: for (?<user>.*))?$",
        USER,
    ),
    // A blank follows the address, also where no user does.
    (
        SSHD,
        "max_attempts",
        r"^PAM \d+ more authentication failures;.*? rhost=(?<ip>\S*) \s*(?:user=(?<user>.*))?$",
        USER,
    ),
    (SSHD, "max_attempts", r"^PAM \d+ more authentication failures;.*? rhost=(?<ip>\S*)$", IP),
    (SSHD, "max_attempts", r"^PAM service\(\S+\) ignoring max retries", WHOLE),
    (
        ANY,
        "auth_failure",
        r"^(?:{pam}|PAM 1 more )authentication failure;.*? ruser=(?<actor>\S*) rhost=(?<ip>\S*) \s*(?:user=(?<user>.*))?$",
        USER,
    ),
    (
        ANY,
        "auth_failure",
        r"^(?:{pam}|PAM 1 more )authentication failure;.*? ruser=(?<actor>\S*) rhost=(?<ip>\S*)$",
        IP,
    ),
    (ANY, "check_pass_unknown", r"^{pam}check pass; user unknown", WHOLE),
    (
        ANY,
        "session_opened",
        r"^{pam}session opened for user (?<user>[^\s(]+)(?:\(uid=\d+\)(?: by .*)?| by .*)$",
        WHOLE,
    ),
    (ANY, "session_opened", r"^{pam}session opened for user (?<user>[^\s(]+)$", USER),
    (ANY, "session_closed", r"^{pam}session closed for user (?<user>[^\s(]+)\(uid=\d+\)$", WHOLE),
    (ANY, "session_closed", r"^{pam}session closed for user (?<user>[^\s(]+)$", USER),
    // The client's own words follow the address, so the first address counts.
    (SSHD, "disconnect", r"^Received disconnect from (?<ip>\S+) port (?<port>\d+):\s?\d+:", WHOLE),
    (SSHD, "disconnect", r"^Received disconnect from (?<ip>\S+): \d+:", WHOLE),
    (
        SSHD,
        "disconnect",
        r"^Disconnected from (?:(?:authenticating |invalid )?user (?<user>.*) )?{addr}{pre}",
        WHOLE,
    ),
    (SSHD, "disconnect", r"^Disconnected from (?<ip>\S+) \[preauth\]$", WHOLE),
    (SSHD, "disconnect", r"^Disconnected from (?<ip>{literal})$", IP),
    (
        SSHD,
        "conn_closed",
        r"^Connection (?:closed|reset) by (?:authenticating |invalid )?user (?<user>.*) {addr}{pre}",
        WHOLE,
    ),
    (SSHD, "conn_closed", r"^Connection (?:closed|reset) by {addr}{pre}", WHOLE),
    (SSHD, "conn_closed", r"^Connection (?:closed|reset) by (?<ip>\S+) \[preauth\]$", WHOLE),
    (SSHD, "conn_closed", r"^Connection (?:closed|reset) by (?<ip>{literal})$", IP),
    (SSHD, "no_identification", r"^Did not receive identification string from {addr}$", WHOLE),
    (
        SSHD,
        "no_identification",
        r"^Did not receive identification string from (?<ip>{literal})$",
        IP,
    ),
    (
        SSHD,
        "break_in_attempt",
        r"^reverse mapping checking getaddrinfo for .* \[(?<ip>[^\]\s]+)\] failed",
        WHOLE,
    ),
    (
        SSHD,
        "break_in_attempt",
        r"^Address (?<ip>\S+) maps to .*(?:POSSIBLE BREAK-IN ATTEMPT|map back to the address)",
        WHOLE,
    ),
    (SSHD, "connect", r"^Connection from {addr}(?: on .*)?$", WHOLE),
    (SSHD, "other", r"^Starting session: .* for \S+ from {addr}(?: id \d+)?$", WHOLE),
    (&["ftpd"], "ftp_connect", r"^connection from (?<ip>\S+) ", WHOLE),
    (&["ftpd"], "ftp_connect", r"^connection from (?<ip>{literal})$", IP),
    (
        &["systemd-logind"],
        "logind_new_session",
        r"^New session \S+ of user '(?<user>[^'\s]+)'",
        WHOLE,
    ),
    // A name may hold a dot too.
    (&["systemd-logind"], "logind_new_session", r"^New session \S+ of user (?<user>\S+)\.$", USER),
    (
        SUDO,
        "sudo_command",
        r"^\s*(?<user>\S+) : TTY=.*? ; USER=(?<target>\S+) ; (?:.*? ; )?COMMAND=(?<command>.*)$",
        WHOLE,
    ),
    (
        SUDO,
        "sudo_failed",
        r"^\s*(?<user>\S+) : [^;]+ ; TTY=.*? ; USER=(?<target>\S+) ; (?:.*? ; )?COMMAND=(?<command>.*)$",
        WHOLE,
    ),
    (SU, "su", r"^Successful su for (?<target>\S+) by (?<actor>\S+)$", &["actor"]),
    (SU, "su", r"^\(to (?<target>\S+)\) (?<actor>\S+) on ", WHOLE),
    (SU, "su_failed", r"^FAILED su for (?<target>\S+) by (?<actor>\S+)$", &["actor"]),
    (SU, "su_failed", r"^FAILED SU \(to (?<target>\S+)\) (?<actor>\S+) on ", WHOLE),
    (ANY, "passwd_change", r"^{pam}password changed for (?<target>\S+)$", &["target"]),
    (&["chpasswd"], "passwd_change", r#"^{pam}user "(?<target>.*)" does not exist"#, WHOLE),
    (&["useradd", "groupadd"], "useradd", r"^new (?:user|group): name=(?<target>[^,]+),", WHOLE),
];

/// Beginnings that only messages of the rules have.
const BEGINNINGS: &[(&[&str], &str)] = &[
    (
        SSHD,
        r"^(?:Failed (?:password|publickey|none|hostbased|keyboard-interactive\S*|gssapi\S*) for |PAM: Authentication failure for |Accepted (?:password|publickey|hostbased|keyboard-interactive\S*|gssapi\S*) for |Invalid user |maximum authentication attempts exceeded for |input_userauth_request: invalid user |Disconnecting (?:authenticating|invalid) user .*Too |PAM \d+ more authentication failures?;|Received disconnect from \S|Disconnected from \S|Did not receive identification string from |reverse mapping checking getaddrinfo for |Address \S+ maps to |Connection from \S+ port|Starting session: )",
    ),
    (SSHD, r"^Connection (?:closed|reset) by (?:authenticating|invalid|user|{literal})\b"),
    (ANY, r"^{pam}(?:authentication failure;|session (?:opened|closed) for user )"),
    (&["ftpd"], r"^connection from "),
    (&["systemd-logind"], r"^New session \S+ of user "),
    (SUDO, r"^\s*\S+ : TTY=[^;]*(?: ; PWD=[^;]*)?(?: ; USER=.*)?$"),
    (SU, r"^(?:Successful su for |FAILED su for |FAILED SU \(to |\(to )"),
    (ANY, r"^message repeated \d+ times: \["),
];

static COMPILED: LazyLock<Vec<(&'static Rule, Regex)>> =
    LazyLock::new(|| RULES.iter().map(|rule| (rule, pattern(&spelled_out(rule.2)))).collect());

static BEGUN: LazyLock<Vec<(&'static [&'static str], Regex)>> = LazyLock::new(|| {
    BEGINNINGS.iter().map(|(programs, begin)| (*programs, pattern(&spelled_out(begin)))).collect()
});

/// The words that many rules share: an address with its port, an address in figures, the end of
/// a line before authentication, and the name of a PAM module.
fn spelled_out(rule: &str) -> String {
    rule.replace("{addr}", r"(?<ip>\S+) port (?<port>\d+)")
        .replace("{literal}", r"(?:[0-9A-Fa-f:]*[.:][0-9A-Fa-f:.]+(?:%\S+)?|UNKNOWN)")
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

/// What a program's message means.
#[derive(Clone, Debug)]
pub enum Meaning<'a> {
    /// A rule knows it.
    Known(Match<'a>),
    /// It begins like a rule's messages, and does not go on like them.
    Cut,
    /// No rule knows it.
    Unknown,
}

/// What a program's message means.
#[must_use]
pub fn read<'a>(program: &str, message: &'a str) -> Meaning<'a> {
    let message = ["error: ", "fatal: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .unwrap_or(message);
    if half_preauth(message) {
        return Meaning::Cut;
    }
    let of = |programs: &[&str]| programs.is_empty() || programs.contains(&program);
    let known = COMPILED.iter().filter(|((programs, ..), _)| of(programs));
    let found = known.into_iter().find_map(|(rule, regex)| Some((*rule, regex.captures(message)?)));
    match found {
        Some((rule, found)) => Meaning::Known(matched(rule, message, &found)),
        None if BEGUN.iter().any(|(programs, begin)| of(programs) && begin.is_match(message)) => {
            Meaning::Cut
        }
        None => Meaning::Unknown,
    }
}

/// ` [preauth]` was cut.
fn half_preauth(message: &str) -> bool {
    const PREAUTH: &str = "[preauth]";
    let begun = message.rsplit_once(' ').map(|(_, last)| last).filter(|last| !last.is_empty());
    begun.is_some_and(|last| last != PREAUTH && PREAUTH.starts_with(last))
}

fn matched<'a>(rule: &Rule, message: &'a str, found: &Captures<'a>) -> Match<'a> {
    let (event, open) = (rule.1, rule.3);
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
        open,
        ends: matches!(event, "disconnect" | "conn_closed" | "session_closed"),
    }
}
