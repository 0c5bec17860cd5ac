"""What a benchmark writes: rows as CSV, Markdown and JSON, and the machine they come from."""

import csv
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

Row = Mapping[str, object]


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line a row under the keys of the first; numbers to four figures."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _short(value) for key, value in row.items()} for row in rows)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([_short(row[key]) for key in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """The rows with the machine that made them."""
    path.write_text(json.dumps({"machine": machine(), "rows": list(rows)}, indent=2) + "\n")


def machine() -> dict[str, str | int]:
    """Hardware and versions; a published figure names them."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
