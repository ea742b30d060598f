//! What this build knows of techniques by itself: names and tactics of MITRE ATT&CK (Enterprise),
//! and one piece of advice each in words of our own, for those that the shipped patrols and
//! chains report. All of ATT&CK comes with `magsentinel intel import`.

use super::{Mitigation, Technique};

/// Id, name, tactic, name of what helps, and what to do.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const TECHNIQUES: &[Row] = &[
    ("T1003", "OS Credential Dumping", "credential access", "Restrict privileges",
     "Take administrative rights from accounts that do not need them, and keep stored \
      password hashes where only the operating system reads them."),
    ("T1005", "Data from Local System", "collection", "Limit what can be read",
     "Give each account read access to the files that its work needs, and record reads of \
      those that matter."),
    ("T1020", "Automated Exfiltration", "exfiltration", "Limit how much leaves",
     "Set a limit on how much an account or host may send out in an hour, and alert when it \
      is reached."),
    ("T1021", "Remote Services", "lateral movement", "Limit who may connect",
     "Let administrators reach systems only through one guarded host, with a second factor, \
      and close the service everywhere else."),
    ("T1030", "Data Transfer Size Limits", "exfiltration", "Count over time",
     "Add up what an account sends over days, not only in one transfer, so that small \
      portions are seen too."),
    ("T1029", "Scheduled Transfer", "exfiltration", "Control what leaves",
     "Let hosts send outside only what they must, and look at transfers that come at the same \
      time of day, or when nobody works."),
    ("T1041", "Exfiltration Over C2 Channel", "exfiltration", "Control what leaves",
     "Let servers open connections only to destinations that they need, and inspect what \
      goes elsewhere."),
    ("T1046", "Network Service Discovery", "discovery", "Separate networks",
     "Divide the network so that one host reaches few others, and switch services off that \
      nobody uses."),
    ("T1048", "Exfiltration Over Alternative Protocol", "exfiltration", "Control what leaves",
     "Close outgoing protocols that nobody needs, and let names be resolved only by \
      resolvers of your own."),
    ("T1059", "Command and Scripting Interpreter", "execution", "Run only what is allowed",
     "Allow programs by list on servers, remove interpreters that applications do not need, \
      and pass input to none."),
    ("T1059.004", "Command and Scripting Interpreter: Unix Shell", "execution", "Keep input from the shell",
     "Call programs with lists of arguments instead of through a shell, and run services in \
      images that hold none."),
    ("T1059.007", "Command and Scripting Interpreter: JavaScript", "execution", "Keep input from the page",
     "Encode all that is put into a page, and set a content security policy that allows only \
      scripts of your own."),
    ("T1071", "Application Layer Protocol", "command and control", "Control what leaves",
     "Send outgoing web and name traffic through a proxy that knows allowed destinations, \
      and look at what calls home regularly."),
    ("T1071.004", "Application Layer Protocol: DNS", "command and control", "Resolve names yourself",
     "Let names be resolved only by resolvers of your own, and refuse there those that carry \
      data in long host parts."),
    ("T1074", "Data Staged", "collection", "Watch for gathering",
     "Alert on large archives and copies in places where data does not belong."),
    ("T1078", "Valid Accounts", "initial access", "Guard accounts",
     "Ask for a second factor, remove accounts that nobody uses, and alert on logins from \
      places and at times that are new for the account."),
    ("T1078.001", "Valid Accounts: Default Accounts", "initial access", "Change defaults",
     "Change or remove every account and password that a product came with before it is \
      reachable."),
    ("T1082", "System Information Discovery", "discovery", "Record unusual queries",
     "Record who asks systems for their version and configuration, and give applications no \
      right to ask."),
    ("T1083", "File and Directory Discovery", "discovery", "Limit what can be listed",
     "Keep path names from user input out of file access, and give services access to their \
      own folders alone."),
    ("T1087", "Account Discovery", "discovery", "Hide who exists",
     "Answer the same way whether or not an account exists, and limit who may list accounts."),
    ("T1090", "Proxy", "command and control", "Control what leaves",
     "Block connections to known anonymising networks, and allow outgoing traffic by list."),
    ("T1098", "Account Manipulation", "persistence", "Approve changes of rights",
     "Let a second person approve every change of rights and credentials, and alert on \
      changes outside that way."),
    ("T1110", "Brute Force", "credential access", "Slow guessing down",
     "Limit attempts by account and by address, lock for a while after several failures, and \
      ask for a second factor."),
    ("T1110.001", "Brute Force: Password Guessing", "credential access", "Slow guessing down",
     "Limit attempts by account and by address, and refuse passwords that are known to be \
      common."),
    ("T1110.003", "Brute Force: Password Spraying", "credential access", "Count over accounts",
     "Count failures over all accounts of a source, not only for each account, and ask for a \
      second factor."),
    ("T1110.004", "Brute Force: Credential Stuffing", "credential access", "Refuse leaked passwords",
     "Refuse passwords that are in known leaks, ask for a second factor, and limit attempts \
      by address."),
    ("T1119", "Automated Collection", "collection", "Limit rates",
     "Limit how many records a client may read in a minute, and alert on reading in \
      sequence."),
    ("T1133", "External Remote Services", "initial access", "Close what is open",
     "Put remote access behind a gateway with a second factor, and close what need not be \
      reached from outside."),
    ("T1136", "Create Account", "persistence", "Approve new accounts",
     "Let accounts be made only by the process that is meant for it, and alert on any other \
      way."),
    ("T1176", "Software Extensions", "persistence", "Allow extensions by list",
     "Allow only extensions that were reviewed, pin their versions, and review again when \
      they ask for more rights."),
    ("T1189", "Drive-by Compromise", "initial access", "Keep foreign scripts out",
     "Encode all that is put into a page, set a content security policy, and keep browsers \
      current."),
    ("T1190", "Exploit Public-Facing Application", "initial access", "Repair and shield",
     "Apply updates for what is reachable from outside within days, check all input there, \
      and put a filter before what cannot be repaired at once."),
    ("T1213", "Data from Information Repositories", "collection", "Limit what can be read",
     "Review who may read which records, take away what work does not need, and record bulk \
      reads."),
    ("T1213.006", "Data from Information Repositories: Databases", "collection", "Limit what can be read",
     "Give each application a database role that reads only its own tables, limit rows per \
      query, and record bulk reads."),
    ("T1485", "Data Destruction", "impact", "Keep copies apart",
     "Keep backups where the accounts that run the systems cannot delete them, and try \
      restoring them."),
    ("T1496", "Resource Hijacking", "impact", "Watch consumption",
     "Limit processor time and outgoing connections of each workload, and alert on steady \
      unexplained load."),
    ("T1498", "Network Denial of Service", "impact", "Filter before the network",
     "Agree with the network's provider how floods are filtered upstream, and keep the plan \
      to hand."),
    ("T1499", "Endpoint Denial of Service", "impact", "Limit rates",
     "Limit requests of each client, and give expensive operations a limit and a time-out of \
      their own."),
    ("T1505", "Server Software Component", "persistence", "Watch what is served",
     "Make folders that are served read-only for the service, and compare them with what was \
      released."),
    ("T1505.003", "Server Software Component: Web Shell", "persistence", "Watch what is served",
     "Make folders that are served read-only for the service, store uploads where nothing is \
      executed, and compare with what was released."),
    ("T1530", "Data from Cloud Storage", "collection", "Close storage",
     "Keep storage private by default, give access by role for a short time, and record \
      reads."),
    ("T1537", "Transfer Data to Cloud Account", "exfiltration", "Limit where copies go",
     "Allow copies and shares only to accounts of your own organisation, and alert on any \
      other."),
    ("T1552", "Unsecured Credentials", "credential access", "Move secrets away",
     "Keep secrets in a store for secrets, replace those that were found elsewhere, and \
      search for more."),
    ("T1552.001", "Unsecured Credentials: Credentials In Files", "credential access", "Move secrets away",
     "Keep secrets out of files that are served or shared, replace those that were read, and \
      search for more."),
    ("T1552.005", "Unsecured Credentials: Cloud Instance Metadata API", "credential access", "Guard the metadata service",
     "Require session tokens for the metadata service, and keep applications from requesting \
      addresses that users name."),
    ("T1555.006", "Credentials from Password Stores: Cloud Secrets Management Stores", "credential access", "Limit who reads secrets",
     "Give each workload access to its own secrets only, replace those that were read, and alert \
      on whoever reads one for the first time."),
    ("T1558", "Steal or Forge Kerberos Tickets", "credential access", "Strengthen service accounts",
     "Give service accounts long random passwords or managed ones, and allow only strong \
      encryption of tickets."),
    ("T1558.003", "Steal or Forge Kerberos Tickets: Kerberoasting", "credential access", "Strengthen service accounts",
     "Give service accounts long random passwords or managed ones, allow only strong \
      encryption of tickets, and alert on many requests."),
    ("T1565", "Data Manipulation", "impact", "Prove integrity",
     "Keep a record of changes that the changing account cannot alter, and compare important \
      data with it."),
    ("T1567", "Exfiltration Over Web Service", "exfiltration", "Control what leaves",
     "Allow web services for storing and sharing by list, and record what is sent to them."),
    ("T1568", "Dynamic Resolution", "command and control", "Watch names",
     "Resolve names only by resolvers of your own, and block names that are new or look made \
      by a machine."),
    ("T1568.002", "Dynamic Resolution: Domain Generation Algorithms", "command and control", "Watch names",
     "Refuse names that were registered yesterday, and look at hosts that ask for many names \
      that do not exist."),
    ("T1572", "Protocol Tunneling", "command and control", "Control what leaves",
     "Let no protocol out but through a proxy that reads it, and look at long names and \
      lasting connections to one address."),
    ("T1595", "Active Scanning", "reconnaissance", "Show little",
     "Close what need not be reached from outside, and tell strangers no versions."),
    ("T1595.001", "Active Scanning: Scanning IP Blocks", "reconnaissance", "Show little",
     "Close what need not be reached from outside, and slow clients down that try many \
      addresses."),
    ("T1595.002", "Active Scanning: Vulnerability Scanning", "reconnaissance", "Find it first",
     "Scan your own systems before others do, repair what is found, and slow scanning \
      clients down."),
    ("T1595.003", "Active Scanning: Wordlist Scanning", "reconnaissance", "Show little",
     "Answer unknown paths alike, remove leftovers from what is served, and slow down \
      clients that try many paths."),
];

/// The technique with an id; for a sub-technique that is not listed, its parent.
#[must_use]
pub fn technique(id: &str) -> Option<Technique> {
    let row = |id: &str| TECHNIQUES.iter().find(|(known, ..)| *known == id);
    let parent = id.split('.').next().unwrap_or(id);
    let (_, name, tactic, helps, text) = row(id).or_else(|| row(parent))?;
    Some(Technique {
        id: id.to_owned(),
        name: (*name).to_owned(),
        tactics: vec![(*tactic).to_owned()],
        mitigations: vec![Mitigation {
            id: None,
            name: (*helps).to_owned(),
            text: (*text).to_owned(),
        }],
    })
}

/// Ids of all that are listed.
pub fn ids() -> impl Iterator<Item = &'static str> {
    TECHNIQUES.iter().map(|(id, ..)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_told_apart_and_says_what_to_do() {
        let all: std::collections::BTreeSet<&str> = ids().collect();
        assert_eq!(all.len(), TECHNIQUES.len());
        for (id, name, tactic, helps, text) in TECHNIQUES {
            assert!(super::super::is_technique_id(id), "{id}");
            assert!(!name.is_empty() && !tactic.is_empty() && !helps.is_empty(), "{id}");
            assert!(text.len() > 40 && text.ends_with('.') && !text.contains("  "), "{id}: {text}");
        }
        let unlisted = technique("T1190.001").expect("its parent");
        assert_eq!((unlisted.id.as_str(), unlisted.mitigations.len()), ("T1190.001", 1));
        assert_eq!(technique("T9999"), None);
    }
}
