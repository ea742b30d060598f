"""The curated data as training sees it, and which of it may shape a shipped model.

`PERMITTED` maps a source to its licence. A source that is not in it (no licence stated, research
only, by permission) is for evaluation only, and so an honest unseen source.
"""

import csv
import gzip
import json
import re
from urllib.parse import unquote_plus

PERMITTED = {
    "httpparams": "MIT",
    "payloadbox": "MIT",
    "gotestwaf": "MIT",
    "sqlglot": "MIT",
    "sqlmap_templates": "GPL-2.0",
    "sqlmap_enum_queries": "GPL-2.0",
    "text2sql_advising": "CC-BY-4.0",
    "wikisql": "BSD-3-Clause",
    "elastic_apache_access": "Apache-2.0",
    "rita_outbound_http": "GPL-3.0",
    "invictus_cloudtrail": "MIT",
    "otrf_s3_honeybucket": "MIT",
    "stratus_detonation": "Apache-2.0",
    "ait_ads_fox": "GPL-3.0",
    "ait_ads_harrison": "GPL-3.0",
    "ait_ads_russellmitchell": "GPL-3.0",
    "ait_ads_shaw": "GPL-3.0",
    "ait_ads_wardbeck": "GPL-3.0",
    "ait_ads_wilson": "GPL-3.0",
}


def write_list(path, names, others=None, labels=None):
    """Writes beside a model which sources it was trained on, with licence and rows.

    The accuracy card reads it to say which figures are of sources never seen. `others` has the
    licences of sources that are no part of the curated data, `labels` which rows of a source were
    in training where those of other labels were left out.
    """
    made, licences = {}, PERMITTED | (others or {})
    for name in sorted({str(name) for name in names}):
        licence = "own" if name.startswith("generated") else licences[name]
        made[name] = {"licence": licence, "rows": names.count(name)}
        if name in (labels or {}):
            made[name]["labels"] = labels[name]
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in made.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def read(path):
    """Rows of a `.jsonl.gz` or `.csv.gz` file as dictionaries."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        if str(path).endswith(".csv.gz"):
            yield from csv.DictReader(lines)
        else:
            for line in lines:
                yield json.loads(line)


def sql(data):
    """Rows of the sql set with `source/kind` names, other attack classes (label 2) left out."""
    for row in read(data / "sql" / "sql.jsonl.gz"):
        if row["label"] != 2:
            yield {
                key: row.get(key) for key in ("text", "kind", "label", "source", "label_quality")
            }


def http_values(data, wanted, cap):
    """Parameter values, path segments and header values of benign requests, each once."""
    seen = set()
    count = dict.fromkeys(wanted, 0)
    for row in read(data / "api" / "http_requests.jsonl.gz"):
        source = row["source"]
        if source not in wanted or row["label"] != 0 or count[source] >= cap:
            continue
        parts = re.split("[&;]", row.get("query") or "")
        values = [part.split("=", 1)[-1] for part in parts]
        if "urlencoded" in (row.get("headers") or {}).get("content-type", ""):
            values += [part.split("=", 1)[-1] for part in (row.get("body") or "").split("&")]
        if source != "csic2010":
            values += (row.get("path") or "").split("/")[1:] + [row.get("query") or ""]
            values += [value for value in (row.get("headers") or {}).values()]
        values += [unquote_plus(value) for value in values if "%" in value or "+" in value]
        for value in values:
            if value and value not in seen:
                seen.add(value)
                count[source] += 1
                yield {
                    "text": value,
                    "kind": "param",
                    "label": 0,
                    "source": source,
                    "label_quality": "assumed",
                }
