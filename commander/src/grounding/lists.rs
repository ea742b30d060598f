//! Word lists of the grounding check, in English, lower case.

/// After these, a plain word is a name unless it is ordinary.
pub(super) const NAMERS: &str = "\
    account address bucket called client column database device domain endpoint extension file \
    group host hostname key login machine named resource role schema server session table user \
    username view";

/// Words that follow a namer without being a name.
pub(super) const ORDINARY: &str = "\
    a access accessed accounts activity after all an and any are as at authenticated \
    authentication base because before behaviour being between but by can could credentials data \
    did does during for from had has have here if in input inside into involved is issued it \
    itself logs management may might must name names not now of on once or over owner passwords \
    permissions privileges queried queries ran read returned rights rotation saw sent server \
    should side since so supplied than that the their then this through to token tokens under \
    until used using via was were when where which while who whose will with within without \
    would";

/// Capitalised words, and words with a digit or a dot, that belong to the language of the trade.
pub(super) const TRADE: &str = "\
    acl api apis att ck attack aws base64 cve db dba dlp dns e.g english http https i i.e iam id \
    ids ip ipv4 ipv6 iot json magsentinel mfa mitre nats oauth2 orm os owasp postgres postgresql \
    rbac select sha256 siem soc sql ssh tcp tls udp union unix url urls utc utf-8 vpn waf where \
    xss 24/7";

/// What plays an incident down or asks to undo a response.
pub(super) const PLAYING_DOWN: &str = "\
    false positive, false alarm, false positives, no action, no threat, not an attack, not \
    malicious, benign, harmless, legitimate activity, authorised test, authorized test, \
    penetration test, ignore, disregard, unblock, unsuspend, whitelist, allowlist, safelist, \
    lower the level, lower the severity, downgrade, close the incident, close this incident, \
    close the alert, close this alert, disable logging, disable the patrol, disable monitoring, \
    system prompt, nothing to see, nothing happened, no incident, no attack, not a threat, no risk, \
    no further action, needs no response, can be closed, may be closed, should be closed, \
    is resolved, was resolved, has been resolved, already resolved, routine maintenance, \
    scheduled maintenance, planned test, red team, security exercise, authorised scan, \
    authorized scan, approved by, safe to ignore, low severity, low priority, informational only, \
    my instructions, my prompt, previous instructions, as instructed, as requested by, nothing else, \
    all is well, no harm, a mistake, by mistake, misunderstanding, signed off, signed it off, \
    settled, the queue, nobody has to look, wrap this, wrap it, minor matter, lowest, is low in, \
    bottom of the list, as low, to low, level none, overstated, too high, access back, let in again, \
    let back in, reinstate, free passage, never stopped, never blocked, be withdrawn, undo what, \
    undo the block, go live, take the pattern, switch the new, skip its tests, without a look, \
    proven itself, into force, roll the, turn the patrol, sign the, sign it, as noise, noise of, nightly job, exercise of, as was asked, \
    it was said, was told to";

/// What undoes a response or a finding, or lets a proposal through, when one of [`UNDONE`]
/// follows.
pub(super) const UNDOING: &str = "\
    acknowledge activate allow approve archive auto-approve cancel clear close closing decrease \
    deactivate delete deploy disable dismiss downgrade drop enable lift lower lowering mark mute \
    pause promote publish re-enable reduce release remove reopen resolve restore revert silence \
    archived concluded ended finish finished settle skip stop suppress terminate unban unblock unmute unquarantine whitelist";

/// What is undone, or let through.
pub(super) const UNDONE: &str = "\
    alarm alarms alert alerts analysis assessment assessments ban bans block blocks case \
    commander detection detections escalation escalations finding findings incident \
    incidents investigation level levels logging monitoring patrol patrols pattern patterns \
    priority proposal proposals quarantine rating responder rule rules sensor sensors severity \
    signature signatures suspension suspensions ticket";

/// A sentence with one of these tells people to act against whom it names.
pub(super) const ACTING: &str = "\
    ban banned banning blacklist blacklisted block blocked blocking blocklist contain cut deny \
    denied disable disabled disconnect disconnected drop end ended expel firewall isolate isolated isolating \
    keep kept kick kill lock locked out quarantine quarantined refuse refused reject revoke revoked revoking shut \
    suspend suspended suspending terminate terminated";

/// What gives a command, code or a link away. Compared without case.
pub(super) const COMMAND_SIGNS: &[&str] = &[
    "`",
    "$(",
    "${",
    "&&",
    "||",
    "|",
    "--",
    "/*",
    "*/",
    "://",
    "<",
    ">",
    "{",
    "}",
    "www.",
    "sudo ",
    "curl ",
    "wget ",
    "rm -",
    "chmod ",
    "chown ",
    "powershell",
    "bash ",
    "cmd.exe",
    "sh -c",
    "python -",
    "nc -",
    "netcat ",
    "iptables ",
    "nft ",
    "kubectl ",
    "systemctl ",
    "eval(",
    "exec(",
    "drop table",
    "drop user",
    "drop role",
    "drop database",
    "delete from",
    "insert into",
    "truncate table",
    "grant all",
    "grant select",
    "alter user",
    "alter role",
    "alter system",
    "create user",
    "create role",
    "union select",
    "select *",
    "copy (",
    "xp_cmdshell",
    "pg_terminate",
    "pg_sleep",
    "net user",
    "reg add",
];
