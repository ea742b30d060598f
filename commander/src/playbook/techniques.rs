//! Names of the techniques of MITRE ATT&CK (Enterprise) that this mesh's patrols report.

const NAMES: &[(&str, &str)] = &[
    ("T1005", "Data from Local System"),
    ("T1020", "Automated Exfiltration"),
    ("T1021", "Remote Services"),
    ("T1030", "Data Transfer Size Limits"),
    ("T1041", "Exfiltration Over C2 Channel"),
    ("T1046", "Network Service Discovery"),
    ("T1048", "Exfiltration Over Alternative Protocol"),
    ("T1059", "Command and Scripting Interpreter"),
    ("T1071", "Application Layer Protocol"),
    ("T1074", "Data Staged"),
    ("T1078", "Valid Accounts"),
    ("T1082", "System Information Discovery"),
    ("T1083", "File and Directory Discovery"),
    ("T1087", "Account Discovery"),
    ("T1090", "Proxy"),
    ("T1098", "Account Manipulation"),
    ("T1110", "Brute Force"),
    ("T1119", "Automated Collection"),
    ("T1133", "External Remote Services"),
    ("T1136", "Create Account"),
    ("T1190", "Exploit Public-Facing Application"),
    ("T1213", "Data from Information Repositories"),
    ("T1485", "Data Destruction"),
    ("T1496", "Resource Hijacking"),
    ("T1499", "Endpoint Denial of Service"),
    ("T1505", "Server Software Component"),
    ("T1530", "Data from Cloud Storage"),
    ("T1552", "Unsecured Credentials"),
    ("T1565", "Data Manipulation"),
    ("T1567", "Exfiltration Over Web Service"),
    ("T1568", "Dynamic Resolution"),
    ("T1595", "Active Scanning"),
];

/// The technique's id with its name; the parent's name for a sub-technique; the bare id when it is
/// not one of these.
pub(super) fn titled(id: &str) -> String {
    let parent = id.split('.').next().unwrap_or(id);
    match NAMES.iter().find(|(known, _)| *known == parent) {
        Some((_, name)) => format!("{id} ({name})"),
        None => id.to_owned(),
    }
}
