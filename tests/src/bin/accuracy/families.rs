//! Families of attacks by what a request says, by the words in which sources name them.

/// A family and the words of its names; the first that fits counts: `log4shell` is no shell.
const FAMILIES: [(&str, &[&str]); 15] = [
    ("JNDI lookup", &["jndi", "log4j", "log4shell"]),
    ("NoSQL injection", &["nosql"]),
    ("SQL injection", &["sqli", "sql_inj", "sql-inj", "sqlinj"]),
    ("cross-site scripting", &["xss", "cross_site", "cross-site"]),
    ("server-side include", &["ssi", "ss-include", "server_side_include"]),
    ("template injection", &["ssti", "sst-inj", "template"]),
    (
        "command and code injection",
        &["cmd", "cmdi", "command", "rce", "shell", "code_inj", "code-inj", "os_inj", "exec"],
    ),
    ("path traversal", &["travers", "lfi"]),
    ("file inclusion", &["inclusion", "rfi"]),
    ("header split", &["crlf", "header_inj", "response_split"]),
    ("server-side request forgery", &["ssrf"]),
    ("XML entity", &["xxe", "xml-inj", "xml_inj"]),
    ("LDAP injection", &["ldap"]),
    ("mail injection", &["mail-inj", "mail_inj"]),
    ("deserialisation", &["deserial"]),
];

/// The family of a category; `None` for what is no content: probes, spam, tampered values.
pub(crate) fn of(category: &str) -> Option<&'static str> {
    let category = category.to_ascii_lowercase();
    let parts: Vec<&str> = category.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    // Short words stand alone: `ssi` is in `session` too.
    let told = |word: &&str| match word.len() {
        ..=4 => parts.contains(word),
        _ => category.contains(*word),
    };
    FAMILIES.iter().find(|(_, words)| words.iter().any(told)).map(|(family, _)| *family)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_of_all_sources_belong_to_a_family_or_to_none() {
        for (category, family) in [
            ("sqli", Some("SQL injection")),
            ("gotestwaf_sql-injection", Some("SQL injection")),
            ("gotestwaf_nosql-injection", Some("NoSQL injection")),
            ("gotestwaf_community-16kb-rce", Some("command and code injection")),
            ("cmd_injection", Some("command and code injection")),
            ("gotestwaf_ss-include", Some("server-side include")),
            ("ssi", Some("server-side include")),
            ("gotestwaf_sst-injection", Some("template injection")),
            ("gotestwaf_community-lfi-multipart", Some("path traversal")),
            ("path_traversal", Some("path traversal")),
            ("file_inclusion", Some("file inclusion")),
            ("gotestwaf_xml-injection", Some("XML entity")),
            ("gotestwaf_xss-scripting", Some("cross-site scripting")),
            ("crlf", Some("header split")),
            ("log4shell", Some("JNDI lookup")),
            ("session_fixation", None),
            ("scan_probe", None),
            ("forced_browsing", None),
            ("param_tampering", None),
            ("form_spam_bot", None),
            ("gotestwaf_community-user-agent", None),
            ("gotestwaf_rest", None),
            ("", None),
        ] {
            assert_eq!(of(category), family, "{category}");
        }
    }
}
