"""What did not finish, and why: by the runs' records, by the table of jobs, by the plan."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from kasmina.jobs import DONE, Job
from kasmina.report import units
from kasmina.report.gather import Gathered, Multirun
from kasmina.report.groups import BASE, Configuration, is_choice
from kasmina.report.records import Run

UNFINISHED, UNREADABLE, NOT_RUN = "unfinished", "unreadable", "not run"
UNPLANNED = "not planned"


@dataclass(frozen=True)
class Failure:
    """A run that does not count, or a job that left none.

    Args:
        folder: of the run; that of the multirun where no job has begun.
        run: its record, where there is one.
    """

    folder: Path
    label: str
    status: str
    reason: str
    seed: int | None = None
    run: Run | None = None


def failures(found: Gathered, groups: Sequence[Configuration]) -> list[Failure]:
    """All of them: runs, runs that cannot be read, jobs without a run, and arms without a job.

    And the runs that an ablation had before its file was changed.
    """
    told = [_of_run(run, it.label, _job(found, run.folder)) for it in groups for run in it.others]
    labels = {it.folder: _labels(it) for it in found.multiruns}
    for folder, reason in found.faults.items():
        multirun, number = found.numbers.get(folder, (None, -1))
        label = labels[multirun.folder].get(number, "") if multirun else ""
        told.append(Failure(folder, label, UNREADABLE, reason))
    for folder in found.strays:
        reason = f"the ablation has another job {found.numbers[folder][1]} by now"
        told.append(Failure(folder, "", UNPLANNED, reason))
    for multirun in found.multiruns:
        if multirun.whole:
            known = {n for it, n in found.numbers.values() if it is multirun}
            told += _without_run(multirun, known, labels[multirun.folder])
    return told


def _job(found: Gathered, folder: Path) -> Job | None:
    multirun, number = found.numbers.get(folder, (None, -1))
    return multirun.jobs.get(number) if multirun else None


def _of_run(run: Run, label: str, job: Job | None) -> Failure:
    """The record says it, else the job that ended without one, else how far it came."""
    labels, spent = run.summary.labels, run.summary.spent
    status, reason = labels.status, labels.reason
    if job and job.state not in DONE:
        status = job.state if status == UNFINISHED else status
        reason = reason or job.error
    length = f"{units.plural(spent.epochs, 'epoch')}, {units.plural(spent.steps, 'step')}"
    told = reason or f"{status} after {length}"
    return Failure(run.folder, label, status, told, seed=labels.seed, run=run)


def _without_run(
    multirun: Multirun, known: Set[int], labels: Mapping[int, str]
) -> Iterable[Failure]:
    for number, job in multirun.jobs.items():
        if number not in known:
            reason, folder = job.error or "it left no record", multirun.folder / job.folder
            yield Failure(folder, labels[number], job.state, reason, seed=_seed(job))
    for number, arm in multirun.plan.arms.items() if multirun.plan else ():
        if number not in known and number not in multirun.jobs:
            reason = f"job {number} of the ablation has not begun"
            yield Failure(multirun.folder, arm.label, NOT_RUN, reason, seed=arm.seed)


def _labels(multirun: Multirun) -> dict[int, str]:
    """By job: the arm's, else what the job chose and not all jobs of the multirun did."""
    chosen = {number: _choices(job) for number, job in multirun.jobs.items()}
    common = set.intersection(*map(set, chosen.values())) if len(chosen) > 1 else set()
    labels = {n: ", ".join(it for it in its if it not in common) for n, its in chosen.items()}
    arms = multirun.plan.arms if multirun.plan else {}
    return {n: label or BASE for n, label in labels.items()} | {
        n: arm.label for n, arm in arms.items()
    }


def _overrides(job: Job) -> list[str]:
    return [str(text) for text in json.loads(job.overrides)]


def _choices(job: Job) -> list[str]:
    return [text for text in _overrides(job) if is_choice(text.partition("=")[0])]


def _seed(job: Job) -> int | None:
    told = [text.removeprefix("seed=") for text in _overrides(job) if text.startswith("seed=")]
    return int(told[-1]) if told and told[-1].lstrip("-").isdigit() else None
