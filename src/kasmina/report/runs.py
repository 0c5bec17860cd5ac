"""Find run folders and read them back."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kasmina.ablation import PLAN
from kasmina.jobs import JOBS
from kasmina.report import rows
from kasmina.report.parse import Fields, RunError, read_csv, read_json, read_jsonl, read_yaml
from kasmina.report.records import Run
from kasmina.report.summaries import read_ledger, read_summary
from kasmina.report.unfinished import estimate_ledger, estimate_summary
from kasmina.stage import Stage

T = TypeVar("T")


def is_run(folder: Path) -> bool:
    """Whether the folder is itself a run folder."""
    if (folder / "summary.json").is_file():
        return True
    return (folder / "config.yaml").is_file() and (folder / "metrics.csv").is_file()


def find_runs(folder: Path) -> list[Path]:
    """The run folder itself, or those below it, in natural order (2 before 10).

    Raises:
        RunError: the folder does not exist, or there is no run in it.
    """
    found, _ = walk(folder)
    if not found:
        raise RunError(f"no run in {folder}: neither summary.json nor config.yaml and metrics.csv")
    return found


def walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """The run folders in a folder, itself perhaps, and the multiruns; both in natural order.

    Raises:
        RunError: the folder does not exist.
    """
    if not folder.is_dir():
        raise RunError(f"{folder} is no folder")
    found, multiruns = [], []
    for here, below, names in os.walk(folder):
        if is_run(Path(here)):
            found.append(Path(here))
            below.clear()
        elif JOBS in names or PLAN in names:
            multiruns.append(Path(here))
        below[:] = [name for name in below if not name.startswith(".") and name != "wandb"]
    return sorted(found, key=_natural), sorted(multiruns, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not.

    Raises:
        RunError: no run folder, or a file that is missing or damaged; one line that names it.
    """
    if not is_run(folder):
        raise RunError(f"{folder} is no run folder: no summary.json, nor config.yaml + metrics.csv")
    summary = _optional(read_summary, folder / "summary.json", needed=False)
    complete = summary is not None and summary.labels.status == "finished"
    config = read_yaml(folder / "config.yaml")
    found = _optional(read_json, folder / "environment.json", needed=complete)
    environment = found.values if found else {}
    metrics = tuple(map(rows.metrics, _rows(folder / "metrics.csv", complete)))
    timeline = tuple(map(rows.slot_state, _rows(folder / "timeline.csv", complete)))
    # The file comes with the first decision: it may be missing while no slot has left dormancy.
    moved = any(state.stage is not Stage.DORMANT for state in timeline)
    events = tuple(map(rows.decision, _rows(folder / "events.jsonl", complete and moved)))
    ledger = _optional(read_ledger, folder / "ledger.json", needed=complete)
    return Run(
        folder=folder,
        config=config,
        environment=environment,
        summary=summary
        or estimate_summary(
            _labels(folder, config, environment), metrics=metrics, timeline=timeline, events=events
        ),
        metrics=metrics,
        timeline=timeline,
        events=events,
        ledger=ledger or estimate_ledger(metrics),
    )


def _labels(
    folder: Path, config: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """The name, seed and controller of a run without a summary."""
    seed = environment.get("seed", config.get("seed"))
    return {
        "name": str(config.get("name") or folder.name),
        "seed": seed if isinstance(seed, int) else None,
        "controller": "",
    }


def read_runs(folders: Sequence[Path]) -> tuple[list[Run], dict[Path, str]]:
    """Read several; second come those that cannot be read, each with the reason."""
    runs, faults = [], {}
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except RunError as error:
            faults[folder] = str(error)
    return runs, faults


def _rows(path: Path, needed: bool) -> list[Fields]:
    """Rows of a csv or jsonl file; one that may be missing may also break off in a row."""
    if not needed and not path.is_file():
        return []
    read = read_jsonl if path.suffix == ".jsonl" else read_csv
    return read(path, growing=not needed)


def _optional(read: Callable[[Path], T], path: Path, *, needed: bool) -> T | None:
    return read(path) if needed or path.is_file() else None
