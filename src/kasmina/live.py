"""A multirun on the terminal, read from its files: one table that is drawn again, or plain lines.

Nothing is asked of the jobs, so watching costs them nothing.
"""

import csv
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from kasmina import jobs
from kasmina.jobs import DONE, Job

_EVERY = 1.0  # seconds between two drawings
_FRAME = 6  # lines of a table that are no row
_COLOUR = {
    **{"running": "cyan", "finished": "green", "failed": "red"},
    **{"diverged": "yellow", "pruned": "yellow"},
}


@dataclass(frozen=True)
class Started:
    """A job that runs.

    Attributes:
        number: within the multirun.
        run: its folder.
        monitor: the column of ``metrics.csv`` that sweeps look at.
        epochs: that it will train; -1 or None: without a limit.
        flops: that it may spend on that.
    """

    number: int
    run: Path
    monitor: str
    epochs: int | None
    flops: float = math.inf


@dataclass(frozen=True)
class Progress:
    """How far a run has come: epochs, the last value of the metric, seconds, FLOPs."""

    epochs: int
    value: float
    seconds: float
    flops: float = 0.0

    def left(self, epochs: int | None, flops: float = math.inf) -> float:
        """Seconds until ``epochs`` are done or ``flops`` spent, at the pace so far; nan when nobody
        knows."""
        trained = self.epochs / epochs if epochs is not None and epochs > 0 else 0.0
        done = max(trained, self.flops / flops)
        return self.seconds * max(0.0, 1 / done - 1) if done else math.nan


def budget(config: DictConfig) -> float:
    """FLOPs that a run of this config may spend; infinite where nothing limits them."""
    limit = OmegaConf.select(config, "callbacks.budget.flops")
    times = OmegaConf.select(config, "baseline.compute") or 1.0  # which the run itself works out
    return math.inf if limit is None else times * float(limit)


def progress(run: Path, monitor: str) -> Progress | None:
    """The last row of a run's ``metrics.csv``; None before its first validation."""
    path = run / "metrics.csv"
    if not path.is_file():
        return None
    with path.open(encoding="utf-8") as file:
        head = file.readline()
    last = jobs.tail(path)[-1:]
    row = next(csv.DictReader([head, *last]), {}) if last != [head.rstrip("\r\n")] else {}
    try:
        numbers = (float(row[column]) for column in (monitor, "wall_s", "train_flops"))
        return Progress(int(row["epoch"]) + 1, *numbers)
    except (KeyError, TypeError, ValueError):  # a row that is being written
        return None


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``; empty for nan."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Board:
    """Shows the jobs of one multirun.

    Args:
        folder: of the multirun.
        words: for every job, by number.
        console: where; None: the terminal's.
    """

    def __init__(
        self, folder: Path, words: Mapping[int, str], console: Console | None = None
    ) -> None:
        self.folder, self.console = folder, console or Console(soft_wrap=True)
        self.words = words
        self.drawn = -math.inf
        self.live: Live | None = None

    def __enter__(self) -> "Board":
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live is not None:
            self.live.update(self.table([]), refresh=True)
            self.live.stop()

    def starts(self, number: int, how: str) -> None:
        """Say how a job begins, where no table does."""
        self._say(f"job {number} {how}: {self.words[number]}")

    def ends(self, job: Job) -> None:
        """Say how a job has ended, where no table does."""
        said = job.error or f"{_number(job.value)} in {clock(job.seconds)}"
        self._say(f"job {job.number} {job.state}: {said}")

    def _say(self, line: str) -> None:
        if self.live is None:
            self.console.print(line, markup=False, highlight=False)

    def look(self, running: Iterable[Started]) -> None:
        """Draw the table, if the last drawing is old enough."""
        if self.live is not None and time.monotonic() - self.drawn >= _EVERY:
            self.live.update(self.table(list(running)), refresh=True)
            self.drawn = time.monotonic()

    def table(self, running: Sequence[Started]) -> Table:
        """What runs, then what has ended, the last first, then what waits; as many as fit."""
        known = jobs.read(self.folder)
        active = {job.number for job in running}
        ended = [job for job in reversed(known.values()) if job.number not in active]
        waiting = [n for n in self.words if n not in active and n not in known]
        table = Table("job", "what", "epoch", "metric", "ETA", "state", caption_justify="left")
        rows = [self._running(job) for job in running]
        rows += [self._ended(job) for job in ended[: self._room(len(rows))]]
        rows += [self._waiting(number) for number in waiting[: self._room(len(rows))]]
        for row in rows:
            table.add_row(*map(escape, row[:-1]), f"[{_COLOUR.get(row[-1], 'dim')}]{row[-1]}")
        good = sum(job.state in DONE for job in ended)
        table.caption = (
            f"{good} done, {len(ended) - good} failed, {len(running)} running, "
            f"{len(waiting)} waiting; {self.folder}"
        )
        return table

    def _room(self, taken: int) -> int:
        return max(0, self.console.height - _FRAME - taken)

    def _running(self, job: Started) -> tuple[str, ...]:
        seen = progress(job.run, job.monitor)
        what = (str(job.number), self.words.get(job.number, ""))
        if seen is None:
            return (*what, "", "", "", "running")
        of = "" if job.epochs is None or job.epochs < 0 else f"/{job.epochs}"
        eta = clock(seen.left(job.epochs, job.flops))
        return (*what, f"{seen.epochs}{of}", _number(seen.value), eta, "running")

    def _ended(self, job: Job) -> tuple[str, ...]:
        what = self.words.get(job.number, job.folder)
        return str(job.number), what, "", _number(job.value), "", job.state

    def _waiting(self, number: int) -> tuple[str, ...]:
        return str(number), self.words[number], "", "", "", "waiting"


def apart(overrides: Mapping[int, Sequence[str]], shared: Iterable[str]) -> dict[int, str]:
    """What sets each job apart from the others, in words.

    Args:
        overrides: by number.
        shared: keys that all jobs have in common.
    """
    common = frozenset(shared)
    return {
        number: " ".join(text for text in each if text.partition("=")[0] not in common)
        for number, each in overrides.items()
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"
