"""One run: build, fit, test once, report; returns the number that sweeps look at."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from kasmina import checkpoints, typed
from kasmina.assembly import Plain, Run, assemble
from kasmina.baseline import at_equal_compute
from kasmina.callbacks.base import of_type
from kasmina.callbacks.feed import close_loggers, show_figures, show_summary, show_tables
from kasmina.environment import environment
from kasmina.rebuild import recorded
from kasmina.report import summary_lines, write_report
from kasmina.report.parse import RunError
from kasmina.report.runs import read_run
from kasmina.strategies import together
from kasmina.summary import run_status, summarize, write_json

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float:
    """Train as ``config`` says, into the folder ``paths.run_dir``.

    Returns:
        The best value of the monitored validation metric; nan when nothing was validated.
    """
    config = at_equal_compute(config)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    folder = Path(plain["paths"]["run_dir"])
    run = assemble(plain)
    run.module.save_hyperparameters(recorded(plain, run.data), logger=False)
    if run.trainer.is_global_zero:
        _describe(run, config, plain, folder)
    with _loggers(run), together(run.trainer, folder):
        summary = _fit(run, plain, folder)
        if plain["test"] and summary["status"] == "finished" and run.data.has_test:
            summary["test"] = _test(run)
            _save(run, folder, summary)
        if run.trainer.is_global_zero:
            _show(run, folder, make_report=plain["report"])
    return float(summary["best"]["value"]) if summary["best"] else math.nan


def _describe(run: Run, config: DictConfig, plain: Plain, folder: Path) -> None:
    """Write down what is about to run."""
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    write_json(folder / "environment.json", environment(plain["seed"], _overrides(folder)))
    for logger in run.trainer.loggers:
        logger.log_hyperparams(dict(plain))


@contextmanager
def _loggers(run: Run) -> Iterator[None]:
    done = False
    try:
        yield
        done = True
    finally:
        close_loggers(run.trainer, failed=not done)


def _fit(run: Run, plain: Plain, folder: Path) -> dict[str, Any]:
    """Train, and write the summary whatever comes in between."""
    resumed = checkpoints.to_go_on_from(folder) if plain["resume"] else None
    status = "failed"
    try:
        run.trainer.fit(run.module, run.data, ckpt_path=resumed, weights_only=True)
        status = run_status(run)
    except SystemExit as exit_:  # how Lightning leaves after Ctrl-C and SIGTERM
        status = "interrupted"
        raise KeyboardInterrupt from exit_
    finally:
        summary = summarize(run, plain, status)
        _save(run, folder, summary)
    return summary


def _test(run: Run) -> dict[str, float]:
    """Read the test split, once, with the checkpoint that validation chose."""
    best = [c.best_model_path for c in of_type(run.trainer, ModelCheckpoint) if c.monitor]
    path = next(filter(None, best), None)
    run.trainer.test(run.module, run.data, ckpt_path=path, verbose=False, weights_only=True)
    return {name: float(value) for name, value in run.trainer.callback_metrics.items()}


def _save(run: Run, folder: Path, summary: dict[str, Any]) -> None:
    if run.trainer.is_global_zero:
        write_json(folder / "summary.json", summary)
        show_summary(run.trainer, summary)


def _show(run: Run, folder: Path, *, make_report: bool) -> None:
    try:
        record = read_run(folder)
    except RunError as error:  # a spoilt file of a run that was resumed
        log.warning("%s; so there is no report", error)
        return
    show_tables(run.trainer, record)
    if make_report:
        write_report([folder])
        show_figures(run.trainer, record)
    console = Console()
    for line in summary_lines(record):
        console.print(line, highlight=False, soft_wrap=True)


def _overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    return typed.plain(OmegaConf.load(path)) if path.is_file() else []
