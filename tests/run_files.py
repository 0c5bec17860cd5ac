"""The run files of W&B, read by its own command in another process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def contents(folder: Path) -> list[Record]:
    """The records of the one run file below a folder."""
    (path,) = folder.rglob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(records: list[Record], kind: str) -> list[Record]:
    """What the records of one kind hold."""
    return [record[kind] for record in records if record["type"] == kind]


def history(records: list[Record]) -> list[Record]:
    """The rows that were logged."""
    return [row["item"] for row in of_kind(records, "history")]


def summary(records: list[Record]) -> Record:
    """The last word on every key of the summary."""
    merged: Record = {}
    for each in of_kind(records, "summary"):
        merged |= each["update"]
    return merged
