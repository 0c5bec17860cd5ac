"""Write a report: the page, its figures, and for several runs sheets of numbers."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from kasmina.report import frame, sheet
from kasmina.report.compared import Compared, compare
from kasmina.report.failures import failures
from kasmina.report.figures import GROUP_PICTURES, RUN_PICTURES, Picture
from kasmina.report.gather import Gathered, gather
from kasmina.report.groups import group
from kasmina.report.markup import Plate
from kasmina.report.page import Comparison, group_page, run_page
from kasmina.report.parse import RunError
from kasmina.report.plan import Plan
from kasmina.report.runs import is_run, read_run

S = TypeVar("S")


def write_report(
    folders: Sequence[Path], out: Path | None = None, *, baseline: str | None = None
) -> Path:
    """Report on run folders.

    One run folder gets ``report.html`` and ``figures/*.png`` inside. Several, or a folder that
    holds runs, get them with ``runs.csv``, ``configurations.csv`` and ``comparisons.csv`` in that
    folder, or in what the folders have in common.

    Args:
        folders: run folders, or folders with runs anywhere below.
        out: write there instead; it is made where it does not exist.
        baseline: of several runs, the configuration that the others are compared with; its
            label, or a part of it that no other has.

    Returns:
        The page.

    Raises:
        RunError: no run is there, none can be read, or no configuration is the baseline; one line
            that names it.
    """
    if not folders:
        raise RunError("no folder was named to report on")
    if len(folders) == 1 and is_run(folders[0]):
        if baseline is not None:
            raise RunError(f"a baseline takes several runs; {folders[0]} is one")
        return _write_run(folders[0], out or folders[0])
    common = Path(os.path.commonpath([folder.resolve() for folder in folders]))
    return _write_group(folders, out or common, baseline)


def _write_run(folder: Path, out: Path) -> Path:
    run = read_run(folder)
    name = run.summary.labels.name
    plates = [_plate(it, run, name, out) for it in RUN_PICTURES if it.fits(run)]
    return _write(out / "report.html", run_page(run, plates))


def _write_group(folders: Sequence[Path], out: Path, baseline: str | None) -> Path:
    it = _comparison(gather(folders), out, baseline)
    found = it.found
    fitting = [each for each in GROUP_PICTURES if found and each.fits(found)]
    plates = [_plate(each, found, it.title, out) for each in fitting if found]
    out.mkdir(parents=True, exist_ok=True)
    sheet.write_runs(out / "runs.csv", it.groups, it.failed)
    sheet.write_configurations(out / "configurations.csv", found)
    sheet.write_comparisons(out / "comparisons.csv", found)
    return _write(out / "report.html", group_page(it, plates, base=out))


def _comparison(held: Gathered, out: Path, baseline: str | None) -> Comparison:
    groups, plan = group(held.runs, held.arms), held.plan
    failed = failures(held, groups)
    if not held.runs and held.faults and len(failed) == len(held.faults):
        first = next(iter(held.faults.values()))
        raise RunError(f"none of {len(held.faults)} runs can be read; {first}")
    names = {plan.name} if plan else {run.summary.labels.name for run in held.runs}
    found = compare(
        groups,
        baseline=baseline,
        planned=plan.baseline if plan else None,
        axes=plan.axes if plan else None,
        measure=plan.measure if plan else "score",
    )
    return Comparison(
        title=names.pop() if len(names) == 1 else out.resolve().name,
        question=plan.question if plan else "",
        groups=groups,
        found=found,
        failed=failed,
        remark=_stand_in(plan, found) if plan and found and baseline is None else "",
    )


def _stand_in(plan: Plan, found: Compared) -> str:
    """A remark where the planned baseline has nothing to compare with."""
    if found.baseline.label == plan.baseline:
        return ""
    return (
        f"The planned baseline, {plan.baseline}, has no finished run; {found.baseline.label} "
        "stands in for it."
    )


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
