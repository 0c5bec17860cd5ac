"""The jobs of a multirun, each a fresh ``kasmina`` of its own: ``hydra/launcher=process``.

A job is told its exact overrides and its folder, and that it is a single run. So Lightning, which
starts the other ranks of a job with the command line of the first, starts that run again and not
the sweep.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kasmina import hydra_api, jobs, places, typed
from kasmina.atomic import write_text
from kasmina.faults import ConfigFaults, Interrupted
from kasmina.jobs import DONE, OUTPUT, Job
from kasmina.live import Board, Started, apart, budget
from kasmina.lock import locked
from kasmina.pool import Pool, Running, Work
from kasmina.ranks import JOB_OF, clean

COMMAND = "command.json"
"""In a multirun's folder: what was asked for, so that it can be asked again."""


def job_config(
    loader: Any, config: DictConfig, number: int, overrides: Sequence[str]
) -> DictConfig:
    """The config of a multirun's job, Hydra's part with its number included.

    Args:
        loader: Hydra's, of the multirun.
        config: of the multirun.
    """
    job: DictConfig = loader.load_sweep_config(config, list(overrides))
    with open_dict(job):
        job.hydra.job.id, job.hydra.job.num = str(number), number
    return job


def run_folder(job: DictConfig) -> Path:
    """Where a launcher puts the run of a job."""
    return Path(job.hydra.sweep.dir).resolve() / str(job.hydra.sweep.subdir)


@contextmanager
def held(folder: Path) -> Iterator[tuple[int, ...]]:
    """Hold a multirun's folder, which is made; yields the descriptors that its jobs inherit.

    Raises:
        ConfigFaults: jobs of an earlier start still run in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked(folder) as keep:
            yield keep
    except BlockingIOError as error:
        raise ConfigFaults(f"resume: jobs still run in {folder}; stop them") from error


@dataclass(frozen=True)
class Plan:
    """A job about to start: what to run, what to watch, and how it begins."""

    work: Work
    started: Started
    overrides: list[str]
    how: str


class Multirun:
    """Runs jobs as child processes, and writes ``jobs.csv``.

    Args:
        config: the multirun's, with Hydra's part.
        config_of: composes a job, given its number and its overrides.
        most: jobs at a time; None: as many as there is room for.
        per_device: jobs that share a GPU.
        resume: skip the jobs that are done, and go on with the interrupted ones.
    """

    def __init__(
        self,
        config: DictConfig,
        config_of: Callable[[int, list[str]], DictConfig],
        *,
        most: int | None,
        per_device: int,
        resume: bool,
    ) -> None:
        self.config, self.config_of, self.resume = config, config_of, resume
        self.most, self.per_device = most, per_device
        self.keep: tuple[int, ...] = ()
        self.folder = Path(config.hydra.sweep.dir).resolve()
        self.hydra = typed.inherited(config.hydra.overrides.hydra)
        self.shared = hydra_api.shared_keys(typed.plain(config.hydra.overrides.task))

    def run(self, wanted: dict[int, list[str]]) -> dict[int, float]:
        """Run jobs; the value of each by number, nan for one that failed.

        Args:
            wanted: overrides by number.

        Raises:
            Interrupted: Ctrl-C; the message says how to go on.
            ConfigFaults: jobs of an earlier start still run in the folder.
        """
        with held(self.folder) as self.keep:
            return self._run(wanted)

    def _run(self, wanted: dict[int, list[str]]) -> dict[int, float]:
        self._note_command()
        values = self._values_of_done(wanted) if self.resume else {}
        missing = {number: wanted[number] for number in wanted if number not in values}
        if missing:
            with Board(self.folder, apart(wanted, self.shared)) as board:
                try:
                    values |= self._run_missing(missing, board)
                except KeyboardInterrupt as error:
                    raise Interrupted(_where_to_go_on(self.folder)) from error
        return {number: values[number] for number in wanted}

    def _note_command(self) -> None:
        chosen = typed.chosen(self.config.hydra.overrides.hydra)
        said = {
            "root": self.config.hydra.job.config_name,
            "overrides": [*typed.plain(self.config.hydra.overrides.task), *chosen],
        }
        write_text(self.folder / COMMAND, json.dumps(said, indent=2) + "\n")

    def _values_of_done(self, wanted: dict[int, list[str]]) -> dict[int, float]:
        known = jobs.read(self.folder)
        return {
            number: known[number].value
            for number, overrides in wanted.items()
            if number in known and self._is_done(known[number], overrides)
        }

    def _is_done(self, job: Job, overrides: list[str]) -> bool:
        """Whether it need not run; one whose folder was taken away does."""
        ended = job.state in DONE and job.overrides == jobs.words(overrides)
        return ended and (self.folder / job.folder).is_dir()

    def _run_missing(self, wanted: dict[int, list[str]], board: Board) -> dict[int, float]:
        plans: dict[int, Plan] = {}
        values: dict[int, float] = {}
        first = self.config_of(*next(iter(wanted.items())))
        pool = Pool(places.places(first, most=self.most, per_device=self.per_device))

        def works() -> Iterator[Work]:
            for number, overrides in wanted.items():
                plan = plans[number] = self._plan(number, overrides)
                yield plan.work

        def ended(running: Running, code: int) -> None:
            job = self._note(plans.pop(running.work.number), code, running.seconds)
            values[job.number] = job.value
            board.ends(job)

        def began(work: Work) -> None:
            board.starts(work.number, plans[work.number].how)

        def idle() -> None:
            board.look([plans[each.work.number].started for each in pool.running])

        pool.run(works(), began=began, ended=ended, idle=idle)
        return values

    def _plan(self, number: int, overrides: list[str]) -> Plan:
        config = self.config_of(number, overrides)
        run = run_folder(config)
        run.mkdir(parents=True, exist_ok=True)
        own = self._own(run, overrides)
        work = Work(
            number=number,
            command=self._command(number, own),
            log=run / OUTPUT,
            environment={**clean(os.environ), **places.threads(config, self.most), **_CHILD},
            need=places.need(config),
            keep=self.keep,
        )
        epochs, flops = config.trainer.max_epochs, budget(config)
        started = Started(number, run, f"val/{config.task.monitor}", epochs, flops)
        how = "goes on" if own[0].startswith(_RESUME) else "starts"
        return Plan(work, started, overrides, how)

    def _own(self, run: Path, overrides: list[str]) -> list[str]:
        """The job's overrides and its folder, or the run to go on with, which brings its own.

        A run in that folder is this job's unless something swept has changed: then another search
        has made it.
        """
        here = typed.quoted(run)
        before = _noted(run) if self.resume else None
        changed = [text for text in overrides if text not in (before or [])]
        if before is None or any(text.partition("=")[0] not in self.shared for text in changed):
            return [*overrides, f"hydra.run.dir={here}"]
        return [f"{_RESUME}{here}", *changed]

    def _command(self, number: int, own: list[str]) -> list[str]:
        facts = [f"hydra.job.num={number}", f"hydra.job.id={number}"]
        sweep = f"hydra.sweep.dir={typed.quoted(self.folder)}"
        root = f"--config-name={self.config.hydra.job.config_name}"
        return [sys.executable, "-m", "kasmina", root, *own, *self.hydra, *facts, sweep]

    def _note(self, plan: Plan, code: int, seconds: float) -> Job:
        job = jobs.ended(
            self.folder,
            plan.started.run,
            number=plan.work.number,
            code=code,
            seconds=seconds,
            overrides=plan.overrides,
        )
        jobs.append(self.folder, job)
        return job


_RESUME = "resume="
_CHILD = {"PYTHONUNBUFFERED": "1", JOB_OF: str(os.getpid())}


def _noted(run: Path) -> list[str] | None:
    """The overrides of a run that has a checkpoint to go on from."""
    noted = run / ".hydra" / "overrides.yaml"
    if not noted.is_file() or not any((run / "checkpoints").glob("last*.ckpt")):
        return None
    try:
        return typed.plain(OmegaConf.load(noted))
    except (YAMLError, OmegaConfBaseException, OSError):  # damaged: the run begins anew
        return None


def _where_to_go_on(folder: Path) -> str:
    done = sum(job.state in DONE for job in jobs.read(folder).values())
    return f"interrupted, {done} jobs done; go on with: kasmina -m resume={typed.quoted(folder)}"


def summary_lines(folder: Path) -> list[str]:
    """How a multirun has ended: counts, and of each job that failed its last words and its log."""
    known = jobs.read(folder).values()
    bad = [job for job in known if job.state not in DONE]
    lines = [f"{len(known) - len(bad)} of {len(known)} jobs done; {folder / jobs.JOBS}"]
    for job in bad:
        lines += [f"job {job.number} {job.state}: {job.error}", f"  {folder / job.folder / OUTPUT}"]
    return lines


def count_failed(folder: Path) -> int:
    """Jobs that have no result."""
    return sum(job.state not in DONE for job in jobs.read(folder).values())
