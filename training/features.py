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


def row_sets(command, patrol, bodies, dtype):
    """All rows of all bodies as one matrix, and the index of each row's body."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for body in bodies:
            file.write(json.dumps(body) + "\n")
        file.flush()
        args = [*shlex.split(command), patrol, file.name]
        made, owner, read = [], [], 0
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as process:
            for at, line in enumerate(process.stdout):
                rows = np.array(json.loads(line)["rows"], dtype)
                made.append(rows)
                owner.append(np.full(len(rows), at))
                read += 1
    if process.returncode != 0 or read != len(bodies):
        raise SystemExit(f"{args}: exit {process.returncode}, {read} of {len(bodies)} bodies")
    return np.concatenate([rows for rows in made if len(rows)]), np.concatenate(owner)
