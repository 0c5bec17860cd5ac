"""The table of a multirun on disk: ``jobs.csv``, a row a job that has ended.

Rows are appended; the last one of a number counts. A multirun that is killed leaves what it had.
"""

import csv
import io
import json
import math
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

JOBS, OUTPUT = "jobs.csv", "output.log"

FINISHED, DIVERGED, FAILED, INTERRUPTED = "finished", "diverged", "failed", "interrupted"
PRUNED = "pruned"
DONE = frozenset({FINISHED, DIVERGED, PRUNED})
"""States that need no second try."""

_STOPPED = 130  # exit code after Ctrl-C
_TAIL = 4096  # bytes


@dataclass(frozen=True)
class Job:
    """How a job ended.

    Attributes:
        number: within the multirun.
        state: one of those above.
        value: what it returned to the sweeper; nan when it failed.
        seconds: of its last process.
        code: exit code, or minus the signal that killed it.
        folder: of its run, below the multirun's.
        overrides: that make it.
        error: the last line that it said, if it failed.
    """

    number: int
    state: str
    value: float
    seconds: float
    code: int
    folder: str
    overrides: str
    error: str = ""


_COLUMNS = [each.name for each in fields(Job)]


def read(folder: Path) -> dict[int, Job]:
    """The jobs that have ended, by number."""
    path = folder / JOBS
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return {int(row["number"]): _job(row) for row in rows}


def _job(row: Mapping[str, str]) -> Job:
    return Job(
        number=int(row["number"]),
        state=row["state"],
        value=float(row["value"]),
        seconds=float(row["seconds"]),
        code=int(row["code"]),
        folder=row["folder"],
        overrides=row["overrides"],
        error=row["error"],
    )


def append(folder: Path, job: Job) -> None:
    """Add a row, in one write."""
    path, text = folder / JOBS, io.StringIO()
    table = csv.DictWriter(text, _COLUMNS)
    known = path.read_bytes() if path.is_file() else b""
    if not known:
        table.writeheader()
    elif not known.endswith(b"\n"):  # a full disk has cut it off
        text.write("\r\n")
    table.writerow(asdict(job))
    with path.open("ab", buffering=0) as file:
        file.write(text.getvalue().encode())


def words(overrides: list[str]) -> str:
    """Overrides in one cell, from which they can be read again."""
    return json.dumps(overrides)


def ended(
    folder: Path, run: Path, *, number: int, code: int, seconds: float, overrides: list[str]
) -> Job:
    """What a job's exit code and its run folder say of it.

    Args:
        folder: of the multirun.
        run: of the job.
        number: of the job.
        code: exit code, or minus a signal.
        seconds: of its process.
        overrides: that make it.
    """
    said = summary(run)
    state = {0: said.get("status", FAILED), _STOPPED: INTERRUPTED}.get(code, FAILED)
    best = said.get("best") if state in DONE else None
    return Job(
        number=number,
        state=state,
        value=float(best["value"]) if best else math.nan,
        seconds=round(seconds, 1),
        code=code,
        folder=os.path.relpath(run, folder),
        overrides=words(overrides),
        error="" if state in DONE else _reason(run / OUTPUT, code),
    )


def summary(run: Path) -> dict[str, Any]:
    """What a run says of itself; empty before its end, and where its file is damaged."""
    try:
        said = json.loads((run / "summary.json").read_text())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _reason(log: Path, code: int) -> str:
    """The last line of a log, after the signal's name where one has killed the job."""
    line = next(filter(str.strip, reversed(tail(log))), "it said nothing").strip()
    return f"killed by {signal.Signals(-code).name}; before that: {line}" if code < 0 else line


def tail(path: Path) -> list[str]:
    """The last lines of a text file, the first of them perhaps not whole."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read().decode(errors="replace").splitlines()
