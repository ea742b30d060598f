"""Bodies of `api` events for training and evaluation, from the curated data and from texts."""

import collections
import json
import random
import re
import tomllib
from urllib.parse import quote

import numpy as np

import sources
from generators import api_attack

# Whose licence permits a shipped model; see `sources.PERMITTED`. rita_cloud_host_http would be
# permitted too: its labels are a rule over paths and clients, so it is only evaluated.
PERMITTED = {
    "httpparams": "MIT",
    "payloadbox": "MIT",
    "gotestwaf": "MIT",
    "sqlmap_templates": "GPL-2.0",
    "elastic_apache_access": "Apache-2.0",
    "rita_outbound_http": "GPL-3.0",
    "invictus_cloudtrail": "MIT",
    "stratus_detonation": "Apache-2.0",
    "dependency_texts": "MIT, Apache-2.0, BSD, Unlicense, Zlib or CC0, by each crate's manifest",
}
CAPS = {"csic2010": 9000, "fwaf_badqueries": 5000, "rita_cloud_host_http": 3000,
        "scan_acunetix": 3000, "scan_netsparker": 3000, "rita_outbound_http": 12_000}  # fmt: skip
FIELDS = ("method", "path", "query", "body", "headers")


def permitted(names):
    """Which bodies may shape a shipped model."""
    return np.array([name in PERMITTED or name.startswith("generated_") for name in names])


def bodies(data):
    """Rows {body, label, source, family} of all sources, exact repetitions left out."""
    rng = random.Random(7)
    count = collections.Counter()
    seen = set()
    rows = list(sources.read(data / "api" / "http_requests.jsonl.gz"))
    rng.shuffle(rows)
    for row in rows:
        source, label = row["source"], row["label"]
        body = {key: row[key] for key in FIELDS if row.get(key)}
        text = json.dumps(body, sort_keys=True)
        if label not in (0, 1) or text in seen or source == "basjes_access_log":
            continue
        if count[source, label] >= CAPS.get(source, 10**9):
            continue
        if source == "elastic_apache_access" and label == 1:
            source = "elastic_apache_access_probes"
        seen.add(text)
        count[source, label] += 1
        yield {"body": body, "label": label, "source": source, "family": row.get("category")}
    yield from payloads(data, rng)
    yield from parameters(data, rng)


def payloads(data, rng):
    """The malicious values of the sql set, in places of a request. Its benign values come from
    csic2010, which stays unseen."""
    count = collections.Counter()
    for row in sources.read(data / "sql" / "sql.jsonl.gz"):
        name = row["source"]
        if row["label"] not in (1, 2) or name not in (
            "httpparams",
            "payloadbox",
            "sqlmap_templates",
        ):
            continue
        if count[name] >= 3000 and row["label"] == 1:
            continue
        count[name] += row["label"] == 1
        yield {"body": api_attack.value_body(rng, row["text"]), "label": 1, "source": name,
               "family": row.get("category") or "sql_injection"}  # fmt: skip


def parameters(data, rng):
    """Real JSON of ordinary interfaces: the parameters of cloud calls."""
    seen = set()
    for row in sources.read(data / "dataflow" / "cloud_audit.jsonl.gz"):
        text = row.get("params")
        if row["source"] not in PERMITTED or not text or text in seen:
            continue
        seen.add(text)
        headers = {"user-agent": row.get("user_agent") or ""}
        yield {"body": {"path": "/", "body": text, "headers": headers}, "label": 0,
               "source": row["source"], "family": "json"}  # fmt: skip


ALLOWED = re.compile(r"MIT|Apache|BSD|Unlicense|Zlib|CC0|ISC")
TEXT_FILES = (
    "*.md",
    "*.rs",
    "*.toml",
    "*.html",
    "*.js",
    "*.json",
    "*.css",
    "*.yml",
    "*.txt",
    "*.h",
    "*.c",
)
PIECES = 14_000


def dependency_texts(root, lock, seed):
    """Pieces of the prose, code, markup and configuration in the crates that Cargo.lock pins: what
    people write into rich text fields, comments and uploads. Only crates whose licence permits it,
    and none of their tests, which may hold attacks."""
    rng = random.Random(seed)
    pinned = {f"{p['name']}-{p['version']}" for p in tomllib.loads(lock.read_text())["package"]}
    files = []
    for crate in sorted(p for p in root.glob("*/*") if p.name in pinned):
        manifest = crate / "Cargo.toml"
        licence = tomllib.loads(manifest.read_text("utf-8", "replace")).get("package", {})
        if not ALLOWED.search(str(licence.get("license", ""))):
            continue
        for pattern in TEXT_FILES:
            found = [
                f
                for f in sorted(crate.rglob(pattern))
                if not re.search(r"test|fuzz", str(f.relative_to(crate)))
            ]
            files += rng.sample(found, min(3, len(found)))
    return pieces(rng, files, PIECES, "dependency_texts")


def folder_texts(root, seed):
    """Pieces of whatever texts a folder holds, for evaluation only."""
    rng = random.Random(seed)
    patterns = ("*.py", "*.md", "*.rst", "*.txt", "*.html", "*.js", "*.css", "*.xml", "*.json")
    files = [file for pattern in patterns for file in sorted(root.rglob(pattern))]
    return pieces(rng, files, 6000, "other_texts")


def pieces(rng, files, count, source):
    """Random stretches of files, in the places where text is sent."""
    made = []
    for _ in range(count):
        file = files[rng.randrange(len(files))]
        text = file.read_text("utf-8", "replace")
        size = int(20 * 60 ** rng.random())
        at = rng.randrange(max(1, len(text) - size))
        text = text[at : at + size]
        draw = rng.random()
        if draw < 0.6:
            body = api_attack.value_body(rng, text)
        elif draw < 0.8:
            body = {"path": "/", "body": text}
        elif draw < 0.95:
            body = api_attack.multipart(rng, "file", text, file=file.name, kind="text/plain")
        else:
            body = {"path": "/" + quote(str(file.parent)[-30:] + "/" + file.name)}
        made.append({"body": body, "label": 0, "source": source, "family": file.suffix[1:]})
    return made
