"""Vectors of rows, made by the very code that scores events: `magsentinel features PATROL FILE`."""

import json
import shlex
import subprocess
import tempfile

import numpy as np


def vectors(command, patrol, rows, fields, dtype):
    """One vector per row, in order; only `fields` of a row leave this process."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for row in rows:
            body = {key: row[key] for key in fields if row.get(key) is not None}
            file.write(json.dumps(body) + "\n")
        file.flush()
        args = [*shlex.split(command), patrol, file.name]
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
            made = [np.array(json.loads(line)["rows"][0], dtype) for line in process.stdout]
    if process.returncode != 0 or len(made) != len(rows):
        raise SystemExit(f"{args}: exit {process.returncode}, {len(made)} of {len(rows)} rows")
    return np.stack(made)
