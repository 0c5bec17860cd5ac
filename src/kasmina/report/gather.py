"""Everything that is to be compared: runs, the jobs that made them, and the ablation's plan."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from kasmina import jobs
from kasmina.ablation import PLAN
from kasmina.jobs import JOBS, Job
from kasmina.report.parse import RunError
from kasmina.report.plan import Arm, Plan, read_plan
from kasmina.report.records import Run
from kasmina.report.runs import read_runs, walk

_UP = 3  # folders above a run in which its multirun is looked for


@dataclass(frozen=True)
class Multirun:
    """The folder of a multirun.

    Args:
        jobs: that have ended, by number.
        plan: of the ablation that it is, if it is one.
        whole: whether all of it is asked for, and not only some of its runs.
    """

    folder: Path
    jobs: Mapping[int, Job]
    plan: Plan | None
    whole: bool


@dataclass(frozen=True)
class Gathered:
    """What folders hold; runs that cannot be read stand in ``faults``, with the reason.

    ``strays`` are runs of jobs that the ablation's plan no longer has, since its file was changed
    before it was gone on with. They are none of ``runs``.
    """

    runs: tuple[Run, ...]
    faults: Mapping[Path, str]
    multiruns: tuple[Multirun, ...]
    numbers: Mapping[Path, tuple[Multirun, int]]
    strays: tuple[Path, ...] = ()

    @property
    def plan(self) -> Plan | None:
        """The one that all multiruns share."""
        return next((it.plan for it in self.multiruns if it.plan), None)

    @property
    def arms(self) -> dict[Path, Arm]:
        """The arm of every run that was planned."""
        found = {}
        for run, (multirun, number) in self.numbers.items():
            if multirun.plan and number in multirun.plan.arms:
                found[run] = multirun.plan.arms[number]
        return found


def gather(folders: Sequence[Path]) -> Gathered:
    """Read what is in folders; each run once.

    Raises:
        RunError: a folder does not exist, none holds a run or a job, or they hold different
            ablations.
    """
    found = [walk(folder.resolve()) for folder in folders]
    paths = list(dict.fromkeys(run for runs, _ in found for run in runs))
    whole = dict.fromkeys(it for _, multiruns in found for it in multiruns)
    above = dict.fromkeys(up for run in paths for up in run.parents[:_UP])
    partly = [it for it in above if it not in whole and ((it / JOBS).is_file() or _planned(it))]
    multiruns = [_multirun(it, whole=it in whole) for it in [*whole, *partly]]
    if not paths and not any(it.jobs or it.plan for it in multiruns):
        where = ", ".join(map(str, folders))
        raise RunError(f"no run in {where}: neither summary.json nor config.yaml and metrics.csv")
    _check(multiruns)
    numbers = _numbers(multiruns, paths)
    strays = tuple(run for run, (it, number) in numbers.items() if _is_stray(run, it, number))
    runs, faults = read_runs([run for run in paths if run not in strays])
    return Gathered(tuple(runs), faults, tuple(multiruns), numbers, strays)


def _is_stray(run: Path, multirun: Multirun, number: int) -> bool:
    """Whether a run's number belongs to another job by now: its file has been changed."""
    job = multirun.jobs.get(number)
    if multirun.plan is None or job is None:
        return False
    arm = multirun.plan.arms.get(number)
    if arm is None or run != multirun.folder / job.folder:
        return True
    told = json.loads(job.overrides)[-len(arm.overrides) :] if arm.overrides else []
    pairs = zip_longest(told, arm.overrides)
    return any(text != planned and "{" not in str(planned) for text, planned in pairs)


def _planned(folder: Path) -> bool:
    return (folder / PLAN).is_file()


def _multirun(folder: Path, *, whole: bool) -> Multirun:
    plan = read_plan(folder) if _planned(folder) else None
    try:
        return Multirun(folder, jobs.read(folder), plan, whole)
    except (KeyError, ValueError) as error:
        raise RunError(f"{folder / JOBS} cannot be read: {error}") from None


def _check(multiruns: Sequence[Multirun]) -> None:
    planned = [(it.folder, it.plan) for it in multiruns if it.plan]
    for folder, plan in planned:
        first, other = planned[0]
        if plan.design != other.design:
            both = f"{first} and {folder}"
            raise RunError(f"{both} hold different ablations; report on one at a time")


def _numbers(
    multiruns: Sequence[Multirun], runs: Sequence[Path]
) -> dict[Path, tuple[Multirun, int]]:
    """The multirun and job of each run, where there is one."""
    made = {it.folder / job.folder: (it, n) for it in multiruns for n, job in it.jobs.items()}
    by_folder = {it.folder: it for it in multiruns}
    found = {}
    for run in runs:
        above = next((by_folder[up] for up in run.parents[:_UP] if up in by_folder), None)
        named = re.match(r"\d+(?=_|$)", run.name)  # a job that still runs has no row yet
        if run in made:
            found[run] = made[run]
        elif above and named:
            found[run] = (above, int(named[0]))
    return found
