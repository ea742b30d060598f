//! The words of attacks on web applications that the lexer keeps by name, beside those of SQL.

use crate::features::{sql, words::Words};

/// First code of the words of SQL; those of [`WORDS`] follow after [`WEB_BASE`].
pub(super) const SQL_BASE: u16 = 0x400;
pub(super) const WEB_BASE: u16 = 0x800;

/// Lower case. A token's code is its place here plus [`WEB_BASE`]: appending keeps old codes,
/// moving or removing a word needs a retrained model.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "script", "img", "svg", "iframe", "body", "html", "style", "link", "meta", "base", "object",
    "embed", "input", "form", "video", "audio", "source", "details", "marquee", "math", "isindex",
    "textarea", "button", "div", "span", "br", "src", "href", "action", "formaction", "srcdoc",
    "xlink", "background", "poster", "data", "javascript", "vbscript", "livescript", "alert",
    "prompt", "confirm", "eval", "settimeout", "setinterval", "function", "constructor", "document",
    "window", "location", "cookie", "domain", "write", "writeln", "innerhtml", "outerhtml",
    "fromcharcode", "atob", "btoa", "unescape", "escape", "string", "expression", "import",
    "onload", "onerror", "onclick", "onmouseover", "onfocus", "autofocus", "ontoggle", "this",
    "self", "top", "parent", "frames", "fetch", "xmlhttprequest", "localstorage", "postmessage",
    "regexp", "reflect", "prototype", "proto", "__proto__", "tostring", "console", "log", "var",
    "let", "const", "new", "return", "throw", "catch", "animate", "foreignobject", "cdata",
    "charset", "utf", "base64", "text", "xss", "throws", "doctype", "entity", "system", "public",
    "xml", "xmlns", "xsl", "xsd", "soap", "envelope", "include", "xi", "element", "stylesheet",
    "dtd", "echo", "exec", "cmd", "virtual", "config", "printenv", "esi", "etc", "passwd", "shadow",
    "hosts", "group", "issue", "proc", "environ", "cmdline", "fd", "version", "usr", "bin", "sbin",
    "tmp", "home", "root", "opt", "logs", "access_log", "error_log", "apache", "apache2", "nginx",
    "httpd", "htaccess", "htpasswd", "conf", "ini", "boot", "win", "windows", "winnt", "system32",
    "inetpub", "wwwroot", "web", "inf", "ssh", "id_rsa", "authorized_keys", "bash_history", "git",
    "svn", "env", "aws", "credentials", "backup", "bak", "old", "swp", "sql", "dump", "wp",
    "wordpress", "phpmyadmin", "phpinfo", "admin", "administrator", "manager", "actuator",
    "heapdump", "jolokia", "solr", "struts", "cgi", "php", "jsp", "jspx", "asp", "aspx", "ashx",
    "exe", "dll", "sh", "pl", "py", "bat", "ps1", "cfg", "yml", "passwords", "secret", "private",
    "key", "pem", "http", "https", "ftp", "file", "gopher", "dict", "ldap", "ldaps", "rmi", "dns",
    "iiop", "jndi", "lower", "upper", "jar", "netdoc", "phar", "zip", "expect", "filter", "convert",
    "resource", "read", "stdin", "glob", "localhost", "metadata", "latest", "iam", "internal",
    "computemetadata", "burpcollaborator", "oastify", "interact", "ngrok", "www", "com", "bash",
    "dash", "zsh", "ksh", "csh", "cat", "ls", "id", "whoami", "uname", "ifconfig", "ipconfig",
    "netstat", "ping", "nslookup", "dig", "curl", "wget", "nc", "ncat", "netcat", "telnet", "tftp",
    "scp", "chmod", "chown", "rm", "cp", "mv", "mkdir", "touch", "kill", "ps", "sleep", "timeout",
    "head", "tail", "grep", "sed", "awk", "xargs", "sort", "tac", "nl", "od", "more", "less", "rev",
    "find", "printf", "python", "python3", "perl", "ruby", "node", "java", "gcc", "busybox",
    "powershell", "pwsh", "net", "user", "dir", "type", "del", "copy", "certutil", "bitsadmin",
    "rundll32", "regsvr32", "mshta", "wscript", "cscript", "wmic", "schtasks", "ifs", "path", "dev",
    "null", "tcp", "udp", "sudo", "su", "crontab", "systeminfo", "hostname", "pwd", "export",
    "_get", "_post", "_request", "_server", "_cookie", "_files", "_session", "globals", "assert",
    "passthru", "shell_exec", "popen", "proc_open", "pcntl_exec", "call_user_func",
    "call_user_func_array", "create_function", "preg_replace", "array_map", "usort",
    "file_get_contents", "file_put_contents", "fopen", "fwrite", "fputs", "readfile",
    "highlight_file", "show_source", "require", "require_once", "include_once", "base64_decode",
    "gzinflate", "str_rot13", "strrev", "chr", "ord", "md5", "unserialize", "die", "print",
    "print_r", "var_dump", "error_reporting", "ini_set", "set_time_limit", "move_uploaded_file",
    "allow_url_include", "auto_prepend_file", "invokefunction", "think", "vars", "runtime",
    "getruntime", "processbuilder", "lang", "class", "getclass", "forname", "getmethod", "invoke",
    "newinstance", "classloader", "urlclassloader", "module", "context", "resources", "pipeline",
    "suffix", "prefix", "pattern", "ognl", "ognlutil", "memberaccess", "_memberaccess",
    "allowstaticmethodaccess", "default_member_access", "actioncontext", "servletactioncontext",
    "xwork", "opensymphony", "multipart", "springframework", "spel", "scriptengine",
    "scriptenginemanager", "nashorn", "org", "javax", "naming", "initialcontext", "lookup", "bean",
    "beans", "objectinputstream", "readobject", "xmldecoder", "jdbcrowsetimpl", "datasourcename",
    "autocommit", "autotype", "sun", "rowset", "templatesimpl", "bytecodes", "commons",
    "collections", "transformer", "freemarker", "execute", "velocity", "thymeleaf", "__class__",
    "__mro__", "__bases__", "__base__", "__subclasses__", "__globals__", "__init__", "__builtins__",
    "__import__", "builtins", "subprocess", "check_output", "os", "sys", "request", "application",
    "lipsum", "cycler", "joiner", "range", "attr", "getitem", "_self", "registerundefinedfilter",
    "getfilter", "twig", "smarty", "mako", "erb", "erubis", "pickle", "marshal", "yaml",
    "child_process", "execsync", "spawn", "spawnsync", "process", "mainmodule", "globalthis", "vm",
    "response", "server", "createobject", "shell", "diagnostics", "processstartinfo", "reflection",
    "assembly", "load", "page", "language", "getparameter", "getinputstream", "getwriter",
    "println", "out", "stringbuffer", "inputstream", "bufferedreader", "filewriter",
    "fileoutputstream", "ne", "gt", "gte", "lt", "lte", "nin", "regex", "mapreduce", "objectclass",
    "uid", "cn", "mail", "userpassword", "position", "name", "__schema", "__type",
    "introspectionquery", "mutation", "host", "referer", "true", "false", "undefined", "nan",
    "test", "acunetix", "netsparker", "nessus", "nikto", "sqlmap", "nuclei", "wvs", "burp", "zap",
    "w3af",
];

static TABLE: Words<2048> = Words::new(WORDS);

/// The code of a word that either list keeps.
pub(super) fn find(word: &[u8]) -> Option<u16> {
    let web = TABLE.find(word).map(|place| WEB_BASE + place);
    web.or_else(|| sql::word(word).map(|place| SQL_BASE + place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_found_in_any_case() {
        for word in WORDS {
            assert_eq!(*word, word.to_lowercase());
            assert!(find(word.to_uppercase().as_bytes()).is_some(), "{word}");
        }
        assert_eq!(find(b"customers"), None);
        assert!(find(b"UNION").is_some_and(|code| code < WEB_BASE));
    }
}
