"""Run a search from its first trial to its last."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kasmina import jobs
from kasmina.search import trial
from kasmina.search.options import BAYES, Options
from kasmina.search.outcome import Ended
from kasmina.search.space import Space

if TYPE_CHECKING:
    from kasmina.search.study import Asked, Trials


@dataclass(frozen=True)
class Place:
    """Where the trials run.

    Attributes:
        folder: of the multirun.
        launch: runs jobs, given the number of the first and the overrides of each; their values.
        run_of: the run folder of a job, given its number and its overrides.
        jobs: at a time, where that is said.
        resume: go on with what the folder holds.
    """

    folder: Path
    launch: Callable[[int, list[list[str]]], list[float]]
    run_of: Callable[[int, list[str]], Path]
    jobs: int | None
    resume: bool


def without_study(space: Space, options: Options, place: Place) -> list[Ended]:
    """Random trials: each is known from its number, so the launcher goes on by itself."""
    drawn = [space.draw(options.seed, job) for job in range(options.trials)]
    values = place.launch(0, [space.overrides(each) for each in drawn])
    known = jobs.read(place.folder)
    return [
        Ended(job, _state(known.get(job), value), value, drawn[job])
        for job, value in enumerate(values)
    ]


def with_study(space: Space, options: Options, place: Place, trials: "Trials") -> list[Ended]:
    """First the trials that were begun, then new ones until there are all.

    As many as run at a time, so that each is chosen, or pruned, by what those before it showed;
    where nothing is learned from them, all at once.
    """
    begun = trials.begun() if place.resume else []
    for batch in together(begun):
        _run(batch, space, place, trials)
    learns = options.method == BAYES or options.pruner is not None
    most = (options.batch or place.jobs or 1) if learns else options.trials
    while batch := trials.ask(most):
        begun += batch
        _run(batch, space, place, trials)
    if not begun:
        place.launch(0, [])  # so that a search that has all of its trials says how they ended
    return trials.ended()


def together(asked: Sequence["Asked"]) -> Iterator[list["Asked"]]:
    """Trials whose jobs have consecutive numbers, for a launcher knows the first one's only."""
    batch: list[Asked] = []
    for each in asked:
        if batch and each.job != batch[-1].job + 1:
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


def _run(batch: Sequence["Asked"], space: Space, place: Place, trials: "Trials") -> None:
    overrides = [space.overrides(each.values) for each in batch]
    pairs = zip(batch, overrides, strict=True)
    runs = [_introduced(each, texts, place, trials) for each, texts in pairs]
    values = place.launch(batch[0].job, overrides)
    known = jobs.read(place.folder)
    for each, run, value in zip(batch, runs, values, strict=True):
        state = _state(known.get(each.job), value)
        if state == jobs.FINISHED and run is not None:  # other launchers do not tell the two apart
            state = jobs.summary(run).get("status", state)
        trials.tell(each, state, value)


def _introduced(
    asked: "Asked", overrides: list[str], place: Place, trials: "Trials"
) -> Path | None:
    """Tell a run which trial it is; its folder, or None where nothing prunes."""
    address = trials.address(asked)
    if address is None and not place.resume:
        return None
    run = place.run_of(asked.job, overrides)
    if address is None:
        (run / trial.FILE).unlink(missing_ok=True)  # of a search that did prune before
        return None
    address.write(run)
    return run


def _state(job: jobs.Job | None, value: float) -> str:
    """As the launcher of processes notes it; without one, by the value alone."""
    if job is not None:
        return job.state
    return jobs.FAILED if math.isnan(value) else jobs.FINISHED
