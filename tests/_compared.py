"""Configurations with given scores, for the tests of what compares them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _runs import RunFolder

from kasmina.report.compared import Compared, compare
from kasmina.report.groups import group
from kasmina.report.records import Run
from kasmina.report.runs import read_run

Scores = Sequence[float] | Mapping[int, float]


def runs(folder: Path, values: Mapping[str, Scores], **options: Any) -> list[Run]:
    """A configuration a key, a run a value of the final metric; seeds count from 0.

    A key holds overrides between commas, or the value of ``controller`` alone.
    """
    found = []
    for name, finals in values.items():
        chosen = name.split(",") if "=" in name else [f"controller={name}"]
        seeded = finals.items() if isinstance(finals, Mapping) else enumerate(finals)
        for seed, value in seeded:
            made = RunFolder(
                folder / f"{name}{seed}",
                ticks=1,
                seed=seed,
                overrides=(*chosen, f"seed={seed}"),
                values={options.get("monitor", "val/accuracy"): [value]},
                **options,
            )
            found.append(read_run(made.write()))
    return found


def compared(folder: Path, values: Mapping[str, Scores], **options: Any) -> Compared:
    """The same, compared with the first of them."""
    found = compare(group(runs(folder, values, **options)))
    assert found is not None
    return found
