"""Write a report: the page, its figures, and for several runs a sheet of numbers."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from kasmina.report import frame
from kasmina.report.figures import GROUP_PICTURES, RUN_PICTURES, Picture
from kasmina.report.groups import group
from kasmina.report.markup import Plate
from kasmina.report.page import group_page, run_page
from kasmina.report.parse import RunError
from kasmina.report.runs import find_runs, is_run, read_run, read_runs
from kasmina.report.sheet import write_sheet
from kasmina.report.verdict import comparable

S = TypeVar("S")


def write_report(folders: Sequence[Path], out: Path | None = None) -> Path:
    """Report on run folders.

    One run folder gets ``report.html`` and ``figures/*.png`` inside. Several, or a folder that
    holds runs, get them with ``runs.csv`` in that folder, or in what the folders have in common.

    Args:
        folders: run folders, or folders with runs anywhere below.
        out: write there instead; it is made where it does not exist.

    Returns:
        The page.

    Raises:
        RunError: no run is there, or none can be read; one line that names folder and file.
    """
    if not folders:
        raise RunError("no folder was named to report on")
    if len(folders) == 1 and is_run(folders[0]):
        return _write_run(folders[0], out or folders[0])
    common = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    return _write_group(folders, out or common)


def _write_run(folder: Path, out: Path) -> Path:
    run = read_run(folder)
    name = run.summary.labels.name
    plates = [_plate(it, run, name, out) for it in RUN_PICTURES if it.fits(run)]
    return _write(out / "report.html", run_page(run, plates))


def _write_group(folders: Sequence[Path], out: Path) -> Path:
    found = dict.fromkeys(run.resolve() for folder in folders for run in find_runs(folder))
    runs, faults = read_runs(list(found))
    if not runs:
        raise RunError(f"none of {len(faults)} runs can be read; {next(iter(faults.values()))}")
    groups = group(runs)
    shown = comparable(groups)
    names = {run.summary.labels.name for run in runs}
    title = names.pop() if len(names) == 1 else out.resolve().name
    plates = [_plate(it, shown, title, out) for it in GROUP_PICTURES if it.fits(shown)]
    page = group_page(title, groups, plates, faults=faults, base=out)
    out.mkdir(parents=True, exist_ok=True)
    write_sheet(out / "runs.csv", groups, faults)
    return _write(out / "report.html", page)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _plate(it: Picture[S], subject: S, name: str, out: Path) -> Plate:
    """Draw for wide and narrow screens; the wide one is also a file."""
    wide = _png(it.draw(subject, width=frame.WIDE))
    narrow = _png(it.draw(subject, width=frame.NARROW))
    path = out / "figures" / f"{it.name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wide)
    alt = f"{it.title}, {name}. {it.caption}"
    return Plate(it.name, it.title, it.caption, alt, wide, narrow)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
