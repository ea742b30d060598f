//! Lines cut at every byte: whatever is left never blames anybody whom the whole line does not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its own functions too")]

use magsentinel_bus_schema::{Trust, entity::entities_of};
use magsentinel_sensor::{
    Format, Tail,
    parse::{Found, Parsed, Parser, Reject},
};
use serde_json::Value;
use std::collections::BTreeSet;

const NOW: &str = "2026-11-21T20:00:00Z";

fn parser(format: Format) -> Parser {
    Parser::new(&Tail::new(format, "x.log"), 16).unwrap()
}

fn read(parser: &mut Parser, line: &str) -> Result<Vec<Found>, Reject> {
    Ok(match parser.line(line, NOW.parse().unwrap())? {
        Parsed::Events(found) => found,
        Parsed::Skipped(_) => Vec::new(),
    })
}

/// Class and name of those whom the events name with more than somebody's word.
fn observed(found: &[Found]) -> BTreeSet<(String, String)> {
    let all = found.iter().flat_map(|f| entities_of(f.kind, &f.body, Trust::Observed));
    let seen = all.filter(|entity| entity.trust >= Trust::Observed);
    seen.map(|entity| (entity.class.to_string(), entity.value)).collect()
}

/// Every beginning of a line, the whole one left out.
fn cuts(line: &str) -> impl Iterator<Item = &str> {
    (1..line.len()).filter_map(|at| line.get(..at))
}

/// Messages of sshd and its kin that end with a proof that they are whole.
const CLOSED: &[&str] = &[
    "sshd[7]: Failed password for invalid user bob from 203.0.113.99 port 40022 ssh2",
    "sshd[7]: Failed publickey for ann from 203.0.113.99 port 40022 ssh2: RSA SHA256:abcdef",
    "sshd[7]: Accepted publickey for ann from 192.0.2.77 port 52222 ssh2: ED25519 SHA256:abcdef",
    "sshd[7]: error: maximum authentication attempts exceeded for invalid user bob from \
     203.0.113.99 port 40022 ssh2 [preauth]",
    "sshd[7]: error: maximum authentication attempts exceeded for ann from 203.0.113.99 port \
     40022 ssh2 [preauth]",
    "sshd[7]: input_userauth_request: invalid user bob [preauth]",
    "sshd[7]: Disconnecting invalid user bob 203.0.113.99 port 40022: Too many authentication \
     failures [preauth]",
    "sshd[7]: Disconnecting: Too many authentication failures for ann [preauth]",
    "sshd[7]: PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= \
     rhost=203.0.113.99  user=ann",
    "sshd[7]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= \
     rhost=203.0.113.99  user=ann",
    "sshd[7]: pam_unix(sshd:session): session opened for user ann(uid=1000) by (uid=0)",
    "sshd[7]: pam_unix(sshd:session): session opened for user ann by (uid=0)",
    "sshd[7]: Received disconnect from 203.0.113.99 port 40022:11: Bye Bye [preauth]",
    "sshd[7]: Received disconnect from fe80::1:2: 11: Bye Bye",
    "sshd[7]: Disconnected from authenticating user ann 203.0.113.99 port 40022 [preauth]",
    "sshd[7]: Connection closed by invalid user bob 203.0.113.99 port 40022 [preauth]",
    "sshd[7]: Connection closed by 203.0.113.99 port 40022 [preauth]",
    "sshd[7]: Disconnected from 203.0.113.99 [preauth]",
    "sshd[7]: reverse mapping checking getaddrinfo for a.example [203.0.113.99] failed - POSSIBLE \
     BREAK-IN ATTEMPT!",
    "sshd[7]: Address 203.0.113.99 maps to a.example, but this does not map back to the address.",
    "sshd[7]: Connection from 203.0.113.99 port 40022 on 192.0.2.1 port 22 rdomain \"\"",
    "sshd[7]: Starting session: shell on pts/0 for ann from 203.0.113.99 port 40022 id 0",
    "ftpd[7]: connection from 203.0.113.99 (a.example) at Fri Jun 17 07:07:00 2005",
    "systemd-logind[7]: New session '7' of user 'ann' with class 'user' and type 'tty'.",
    "sudo:  ann : TTY=pts/0 ; PWD=/home/ann ; USER=postgres ; COMMAND=/bin/cat /etc/passwd",
    "sudo:  bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=postgres ; COMMAND=/bin/sh",
    "su[7]: FAILED SU (to postgres) bob on pts/0",
    "su[7]: (to postgres) bob on pts/0",
    "useradd[7]: new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh",
    "sshd[7]: message repeated 3 times: [ Failed password for ann from 203.0.113.99 port 40022 \
     ssh2]",
    "sshd[7]: message repeated 2 times: [ Connection closed by 203.0.113.99 [preauth]]",
];

/// Messages whose end nothing proves.
const OPEN: &[&str] = &[
    "sshd[7]: error: PAM: Authentication failure for illegal user bob from 203.0.113.99",
    "sshd[7]: Invalid user bob from 203.0.113.99 port 40022",
    "sshd[7]: Invalid user bob from 203.0.113.99",
    "sshd[7]: Invalid user bob from 2001:db8::99",
    "sshd[7]: input_userauth_request: invalid user bobby",
    "sshd[7]: Disconnecting: Too many authentication failures for ann",
    "sshd[7]: pam_unix(sshd:session): session closed for user annabel",
    "sshd[7]: Connection closed by 203.0.113.99",
    "sshd[7]: Disconnected from 203.0.113.99",
    "sshd[7]: Did not receive identification string from 203.0.113.99",
    "systemd-logind[7]: New session 5 of user ann.smith.",
    "su[7]: Successful su for postgres by annabel",
    "su[7]: FAILED su for postgres by bobby",
    "passwd[7]: pam_unix(passwd:chauthtok): password changed for annabel",
];

#[test]
fn a_cut_line_of_sshd_names_nobody_whom_the_whole_line_does_not() {
    for message in CLOSED.iter().chain(OPEN) {
        let line = format!("Nov 21 19:59:58 web-1 {message}");
        let whole = read(&mut parser(Format::Sshd), &line).unwrap();
        let named = observed(&whole);
        assert!(!named.is_empty() && whole[0].body.get("event") != Some(&"".into()), "{line}");
        for cut in cuts(&line) {
            let Ok(found) = read(&mut parser(Format::Sshd), cut) else { continue };
            let left = observed(&found);
            assert!(left.is_subset(&named), "{cut:?}: {left:?} of {named:?}");
        }
    }
}

#[test]
fn a_cut_line_of_sshd_is_rejected_where_that_can_be_known() {
    let rejected = |message: &str, cut: &str| {
        let line = format!("Nov 21 19:59:58 web-1 {message}");
        let at = line.find(cut).unwrap() + cut.len();
        read(&mut parser(Format::Sshd), &line[..at]).is_err()
    };
    for (message, cut) in [
        (CLOSED[0], "from 203.0.113.9"),
        (CLOSED[0], "port 400"),
        (CLOSED[0], "40022 s"),
        (CLOSED[2], "for ann from 192.0.2.7"),
        (CLOSED[5], "bob [pre"),
        (CLOSED[9], "rhost=203.0.113.99  us"),
        (CLOSED[10], "ann(uid=10"),
        (CLOSED[14], "203.0.113.99"),
        (CLOSED[16], "40022 [preau"),
        (CLOSED[24], "USER=post"),
        (CLOSED[29], "ssh2"),
        (OPEN[1], "203.0.113.99 po"),
        (OPEN[1], "203.0.11"),
        (OPEN[7], "203.0.113."),
    ] {
        assert!(rejected(message, cut), "{message} cut after {cut}");
    }
    // Whole, each of them is read.
    for message in CLOSED.iter().chain(OPEN) {
        let line = format!("Nov 21 19:59:58 web-1 {message}");
        assert!(read(&mut parser(Format::Sshd), &line).is_ok(), "{message}");
    }
}

/// The fields of `cut` that `whole` has otherwise.
fn differing(cut: &Found, whole: &Found) -> Vec<String> {
    let other = |(name, value): (&String, &Value)| {
        (whole.body.get(name) != Some(value)).then(|| format!("{name}: {value}"))
    };
    cut.body.0.iter().filter_map(other).collect()
}

const COMBINED: &str = "203.0.113.99 - ann [21/Nov/2026:11:00:00 +0100] \"GET /a?b=%27 HTTP/1.1\" \
                        200 5123 \"https://shop.example/\" \"curl/8.5 (x)\"";

#[test]
fn a_cut_access_line_is_rejected_once_the_form_of_the_log_is_known() {
    let mut known = parser(Format::Access);
    let whole = read(&mut known, COMBINED).unwrap().remove(0);
    for cut in cuts(COMBINED) {
        assert!(read(&mut known, cut).is_err(), "{cut}");
        // The first line of a log may be in common format, which ends with a number.
        let Ok(found) = read(&mut parser(Format::Access), cut) else { continue };
        let other = differing(&found[0], &whole);
        assert!(other.iter().all(|field| field.starts_with("resp_bytes: ")), "{cut}: {other:?}");
    }
    let more = format!("{COMBINED} \"198.51.100.44\" 0.042");
    let whole = read(&mut known, &more).unwrap().remove(0);
    for cut in cuts(&more).filter(|cut| cut.len() > COMBINED.len()) {
        let Ok(found) = read(&mut known, cut) else { continue };
        let mut other = differing(&found[0], &whole);
        other.retain(|field| !field.starts_with("headers: "));
        assert_eq!(other, [] as [&str; 0], "{cut}");
    }
}

#[test]
fn two_access_lines_of_which_the_first_was_cut_blame_nobody() {
    let second = COMBINED.replace("203.0.113.99", "198.51.100.7");
    let seconds: BTreeSet<_> = observed(&read(&mut parser(Format::Access), &second).unwrap());
    // Before the request a user's name may hold anything, also what looks like another line.
    for cut in cuts(COMBINED).filter(|cut| cut.contains('"')) {
        let glued = format!("{cut}{second}");
        let Ok(found) = read(&mut parser(Format::Access), &glued) else { continue };
        let named = observed(&found);
        // Where all but the end of the first is there, it is the first that is told.
        let first = read(&mut parser(Format::Access), COMBINED).unwrap();
        assert!(named.is_subset(&seconds) || named.is_subset(&observed(&first)), "{glued}");
    }
}

#[test]
fn a_cut_line_of_envoy_is_rejected() {
    for whole in [
        "[2026-11-21T10:00:00.000Z] \"GET /a?b=c HTTP/1.1\" 200 - 7 12 5 4 \"203.0.113.99\" \
         \"curl/8.5\" \"a-b\" \"shop.example\" \"10.0.0.9:80\"",
        "[2026-11-21T10:00:00.000Z] \"GET /a?b=c HTTP/1.1\" 200 - via_upstream - \"-\" 7 12 5 4 \
         \"-\" \"curl/8.5\" \"a-b\" \"shop.example\" \"10.0.0.9:80\" inbound|80|| 127.0.0.6:1 \
         10.0.0.9:80 203.0.113.99:40022 outbound_.80_._.shop d",
    ] {
        assert!(read(&mut parser(Format::Access), whole).is_ok(), "{whole}");
        for cut in cuts(whole) {
            assert!(read(&mut parser(Format::Access), cut).is_err(), "{cut}");
        }
    }
}

#[test]
fn a_cut_json_line_is_rejected() {
    let access = "{\"time\":\"[21/Nov/2026:11:00:00 +0100]\",\"remoteIP\":\"203.0.113.99\",\
                  \"request\":\"/a\",\"query\":\"?b=c\",\"method\":\"GET\",\"status\":\"200\"}";
    let jsonlog = "{\"timestamp\":\"2026-11-21 10:00:00.250 UTC\",\"user\":\"shop\",\"dbname\":\
                   \"store\",\"pid\":4711,\"remote_host\":\"10.0.0.5\",\"session_id\":\"a.1\",\
                   \"error_severity\":\"LOG\",\"message\":\"statement: SELECT * FROM users\"}";
    for (format, whole) in [(Format::Access, access), (Format::Postgres, jsonlog)] {
        assert!(!read(&mut parser(format), whole).unwrap().is_empty(), "{whole}");
        for cut in cuts(whole) {
            assert!(read(&mut parser(format), cut).is_err(), "{cut}");
        }
    }
}

const CSVLOG: &str = "2026-11-21 10:00:00.250 UTC,\"shop\",\"store\",4711,\"10.0.0.5:55312\",\
                      6740a1b2.1267,3,\"SELECT\",2026-11-21 09:59:00 UTC,3/12,0,LOG,00000,\
                      \"statement: SELECT * FROM users\",,,,,,,,,\"web\",\"client backend\",,0";

#[test]
fn a_cut_record_of_csvlog_is_rejected_or_tells_the_same() {
    let whole = read(&mut parser(Format::Postgres), CSVLOG).unwrap();
    assert_eq!(whole.len(), 2);
    let mut known = parser(Format::Postgres);
    read(&mut known, CSVLOG).unwrap();
    let all = CSVLOG.len() - 1;
    for cut in cuts(CSVLOG).filter(|cut| cut.len() < all) {
        assert!(read(&mut known, cut).is_err(), "{cut}");
        // Old versions have fewer columns, so the first record of a log may lack the last ones.
        let Ok(found) = read(&mut parser(Format::Postgres), cut) else { continue };
        let other = found.iter().zip(&whole).flat_map(|(cut, whole)| differing(cut, whole));
        assert_eq!(other.collect::<Vec<_>>(), [] as [&str; 0], "{cut}");
    }
}

#[test]
fn two_records_of_csvlog_of_which_the_first_was_cut_are_not_one() {
    let second = CSVLOG.replace("\"shop\"", "\"ann\"").replace("6740a1b2.1267", "6740a1b2.99");
    let seconds = observed(&read(&mut parser(Format::Postgres), &second).unwrap());
    for cut in cuts(CSVLOG) {
        let glued = format!("{cut}{second}");
        let Ok(found) = read(&mut parser(Format::Postgres), &glued) else { continue };
        assert!(observed(&found).is_subset(&seconds), "{glued}");
    }
}
