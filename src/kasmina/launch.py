"""``kasmina [overrides]``: read, check, then run one job or many."""

import importlib
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from kasmina import arms, hints, hydra_api
from kasmina.continued import continued
from kasmina.faults import ConfigFaults, Interrupted, RunFailed
from kasmina.ranks import leave
from kasmina.request import Request, based, read, resumed

log = logging.getLogger(__name__)

_MOST_JOBS = 200  # that are composed before the first starts
_MOST_BROKEN_JOBS = 10  # each is looked at override by override, which takes seconds


def launch(arguments: list[str], after: Callable[[Path], None] | None = None) -> None:
    """Train, or answer one of Hydra's questions about the config.

    Args:
        arguments: as typed.
        after: told of a multirun's folder once its jobs have ended, failed ones among them.

    Raises:
        ConfigFaults: the command line or the config is wrong, and every mistake is named; or the
            run's folder cannot be made.
        RunFailed: a run ended with an error of its user's.
        Interrupted: Ctrl-C.
    """
    request = based(read(arguments))
    request = continued(request) if request.multirun else resumed(request)
    if request.multirun:
        leave()
    if _is_first_rank():
        with hydra_api.composer():
            jobs = _jobs(request)
            check_jobs(jobs, request.root, keys_only=request.asks)
            if request.cfg and request.multirun:
                _show(jobs, request)
                return
    else:
        importlib.import_module("lightning")  # before Hydra quiets its logger
    task = _Task()
    multiruns = _run(task, request)
    failed = task.failed + sum(map(_summarize, multiruns))
    if after is not None:
        for folder in multiruns:
            after(folder)
    if failed:
        raise RunFailed(f"{failed} of the runs failed")


def _run(task: "_Task", request: Request) -> set[Path]:
    """Hand over to Hydra; the folders of the multiruns whose jobs had processes of their own."""
    try:
        return hydra_api.run(task, request.argv, request.root)
    except OSError as error:  # of Hydra, which makes the run's folder; the run's own are counted
        if error.filename is None:  # no file's fault: a pipe that nobody reads
            raise
        raise ConfigFaults(f"run folder: {error.filename}: {error.strerror}") from error


def _summarize(multirun: Path) -> int:
    """Say how a multirun has ended; the number of jobs that failed."""
    from kasmina.multirun import count_failed, summary_lines

    for line in summary_lines(multirun):
        print(line)
    return count_failed(multirun)


def _is_first_rank() -> bool:
    """The other ranks are started once the first has checked the same config."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _jobs(request: Request) -> list[list[str]]:
    if not request.multirun:
        return [request.overrides]
    _check_values(request.overrides)
    sweeper = hydra_api.settings("sweeper", request.overrides, request.root)
    if not isinstance(sweeper.get("params") or {}, Mapping):
        raise ConfigFaults(f"hydra.sweeper.params: maps keys to values, not {sweeper['params']!r}")
    if arms.is_ablation(sweeper):
        return arms.checkable(sweeper, request.overrides, _MOST_JOBS)
    return hydra_api.jobs(request.overrides, request.root, _MOST_JOBS)


def check_launcher(options: Mapping[str, Any]) -> None:
    """Refuse what ``hydra/launcher=process`` cannot count by.

    Raises:
        ConfigFaults: an option is no number, or too small.
    """
    for key, least in (("jobs", 1), ("per_device", 1), ("first", 0)):
        value = options.get(key, least)
        if value is None and key != "per_device":
            continue
        if type(value) is not int or value < least:
            raise ConfigFaults(
                f"hydra.launcher.{key}: is a whole number from {least} on, not {value!r}"
            )


def _check_values(overrides: list[str]) -> None:
    """Refuse a sweep over nothing, which would be a multirun of no jobs that has gone well."""
    for text in overrides:
        try:
            override = hydra_api.parse(text)
        except hydra_api.COMPOSITION_ERRORS:
            continue  # which is said when the jobs are composed
        if override.is_discrete_sweep() and next(override.sweep_string_iterator(), None) is None:
            raise ConfigFaults(f"{text}: has no value, so that there is no job")


def check_jobs(jobs: list[list[str]], root: str, *, keys_only: bool = False) -> None:
    """Compose and check every job before the first starts.

    Args:
        jobs: overrides of each.
        root: the primary config.
        keys_only: find what cannot be composed, and import nothing heavy.

    Raises:
        ConfigFaults: what is wrong with any of them, each fault once.
    """
    found: dict[str, None] = {}
    broken = 0
    for overrides in jobs:
        try:
            config = hydra_api.compose(overrides, root)
        except hydra_api.COMPOSITION_ERRORS:
            broken += 1
            found |= dict.fromkeys(_diagnose(overrides, root, keys_only=keys_only))
        else:
            found |= dict.fromkeys([] if keys_only else _check(config))
        if broken == _MOST_BROKEN_JOBS:
            break
    if found:
        raise ConfigFaults(*found)


def compose_checked(overrides: list[str], *, keys_only: bool = False) -> DictConfig:
    """The config of one job, once nothing is wrong with it.

    Args:
        overrides: of the config.
        keys_only: check keys, types and choices, and leave out what needs a host or data.

    Raises:
        ConfigFaults: every mistake, a line each.
    """
    from kasmina.preflight import check_keys

    check_jobs([overrides], hydra_api.ROOT, keys_only=keys_only)
    config = hydra_api.compose(overrides)
    faults = check_keys(config)
    if faults:
        raise ConfigFaults(*faults)
    return config


def _check(config: DictConfig) -> list[str]:
    from kasmina.preflight import check

    return check(config)


def _diagnose(overrides: list[str], root: str, *, keys_only: bool) -> list[str]:
    diagnosis = hints.diagnose(overrides, root)
    if keys_only or not diagnosis.composes:
        return diagnosis.faults
    from kasmina.preflight import check_keys

    return diagnosis.faults + check_keys(hydra_api.compose(diagnosis.good, root))


def _show(jobs: list[list[str]], request: Request) -> None:
    """The config of every job of a multirun, which Hydra does not show."""
    for number, overrides in enumerate(jobs):
        config = hydra_api.compose(overrides, request.root)
        config.paths.run_dir = None
        shown = OmegaConf.select(config, request.package or "")
        print(f"# job {number}: {' '.join(overrides)}")
        if isinstance(shown, DictConfig | ListConfig):
            print(OmegaConf.to_yaml(shown, resolve=request.resolve))
        else:
            print(shown)


class _Task:
    """One job after the other; one that fails leaves a nan and lets the next begin."""

    def __init__(self) -> None:
        self.failed = 0
        self.process = os.getpid()

    def __call__(self, config: DictConfig) -> float:
        from lightning.fabric.utilities.exceptions import MisconfigurationException

        from kasmina.train import train

        folder = Path(config.paths.run_dir)
        try:
            with _processes_of_its_own():
                return train(config)
        except KeyboardInterrupt as error:
            raise Interrupted(_where_to_go_on(folder)) from error
        except (ValueError, OSError, MisconfigurationException) as error:
            log.error("%s (its traceback is in the log file of %s)", error, folder)
            log.debug("where it was raised", exc_info=True)
            self.failed += 1
            if os.getpid() != self.process:  # a launcher of processes: this count is not seen
                raise RunFailed(str(error)) from error
            return math.nan


@contextmanager
def _processes_of_its_own() -> Iterator[None]:
    """Leave no trace of a job's other ranks: the next one would take them for its own."""
    from torch import distributed

    before = dict(os.environ)
    try:
        yield
    finally:
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(before)


def _where_to_go_on(folder: Path) -> str:
    last = folder / "checkpoints" / "last.ckpt"
    if not last.is_file():
        return f"interrupted before the first checkpoint; the record is in {folder}"
    return f"interrupted; the last checkpoint is {last}; go on with: kasmina resume='{folder}'"
