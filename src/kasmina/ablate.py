"""``kasmina ablate NAME``: plan an ablation, run it, report on it."""

import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from kasmina import arms, hydra_api, jobs, places, typed
from kasmina.ablation import Ablation
from kasmina.faults import Interrupted, UsageFaults
from kasmina.launch import check_jobs, check_launcher, launch
from kasmina.live import budget, clock, progress
from kasmina.ranks import clean
from kasmina.suggest import unknown
from kasmina.usage import Parser

GROUP = "ablation"

_RESUME = "resume="
_MOST = 200  # jobs that are composed before the plan is shown
_EPOCHS = 2  # of the job that is timed: the first one warms up
_QUICKLY = ("test=false", "report=false", "callbacks.progress=null", "logger=csv")


def parser() -> Parser:
    """Arguments of the command."""
    found = Parser(
        prog="kasmina ablate",
        description="Run an ablation of conf/ablation: every arm with every seed, then a report.",
        epilog="examples:\n"
        "  kasmina ablate incubation --plan\n"
        "  kasmina ablate incubation seed=1,2,3 trainer.max_epochs=40\n"
        "  kasmina ablate incubation resume=auto      what is missing of the same\n"
        "  kasmina ablate ramp optimizer.lr=0.001,0.003    one axis more",
    )
    found.add_argument("name", metavar="NAME", help="; ".join(hydra_api.options(GROUP)))
    found.add_argument("overrides", nargs="*", default=[], help="of the config, as for kasmina -m")
    found.add_argument("--plan", action="store_true", help="show the jobs, and run none")
    found.add_argument(
        "--no-estimate", action="store_true", help="do not time two epochs of the first job"
    )
    return found


def answer(known: Namespace) -> None:
    """Plan, run and report.

    Raises:
        UsageFaults: no such ablation, or a mistake in the config.
        RunFailed: some of the jobs failed; the report is there all the same.
        Interrupted: Ctrl-C; the message says how to go on.
    """
    names = hydra_api.options(GROUP)
    if known.name not in names:
        raise UsageFaults(unknown(GROUP, known.name, names))
    overrides = [f"{GROUP}={known.name}", *known.overrides]
    asked = [text for text in overrides if not text.startswith(_RESUME)]
    for text in overrides:
        if text.startswith(_RESUME) and text != f"{_RESUME}auto":
            raise UsageFaults(f"{text}: an ablation goes on by resume=auto; or kasmina -m {text}")
    with hydra_api.composer():
        ablation, fixed = _ablation(asked)
        _show(ablation)
        if not known.no_estimate:
            _estimate(ablation, fixed)
    if known.plan:
        return
    try:
        launch(["-m", *overrides], after=_report)
    except Interrupted as stop:
        again = shlex.join(["kasmina", "ablate", known.name, *asked[1:], "resume=auto"])
        raise Interrupted(f"{stop}; or, with the report at its end: {again}") from stop


def _ablation(overrides: list[str]) -> tuple[Ablation, list[str]]:
    """What is asked for, and the overrides that all jobs share, once job 0 can be composed."""
    sweeper = hydra_api.settings("sweeper", overrides)
    if not sweeper:  # something typed cannot be composed, which is said here
        check_jobs(hydra_api.jobs(overrides), hydra_api.ROOT, keys_only=True)
    if not arms.is_ablation(sweeper):
        raise UsageFaults(f"{overrides[0]} chooses another sweeper than hydra/sweeper=arms")
    check_jobs(arms.checkable(sweeper, overrides, _MOST), hydra_api.ROOT, keys_only=True)
    return arms.ablation_of(sweeper, overrides)


def _show(ablation: Ablation) -> None:
    """The question, and a row an arm."""
    console = Console()
    if ablation.question:
        console.print(f"{ablation.question}\n", highlight=False)
    table = Table("arm", "jobs", "overrides", "needs the run of", box=None, pad_edge=False)
    planned = ablation.jobs()
    for arm in dict.fromkeys(job.label for job in planned):
        own = [job for job in planned if job.label == arm]
        numbers = " ".join(str(job.number) for job in own)
        told = " ".join(text for text in own[0].overrides if not text.startswith("seed="))
        name = f"{arm} (baseline)" if arm == ablation.baseline else arm
        table.add_row(name, numbers, told, ", ".join(own[0].needs))
    console.print(table, highlight=False, markup=False)
    seeds = ", ".join(map(str, ablation.seeds))
    console.print(f"\n{len(planned)} jobs, with seeds {seeds}", highlight=False)


def _estimate(ablation: Ablation, fixed: list[str]) -> None:
    """Time the first job, and say how long all will take."""
    first = [*fixed, *ablation.jobs()[0].alone()]
    config = hydra_api.compose(first)
    launcher = hydra_api.settings("launcher", fixed)
    check_launcher(launcher)
    most, share = launcher.get("jobs"), launcher.get("per_device", 1)
    room = places.places(config, most=most, per_device=share).room(places.need(config))
    print(f"timing {_EPOCHS} epochs of job 0 ...", file=sys.stderr)
    each = _seconds(config, first, most)
    if each is None:
        print("no estimate of time: the job has no fixed end, or did not get far")
        return
    waves = Counter(job.wave for job in ablation.jobs())
    rounds = sum(-(-count // room) for count in waves.values())
    print(
        f"about {clock(rounds * each)} for all, {room} at a time, {clock(each)} each: taken from "
        f"{_EPOCHS} epochs of job 0 alone; seeds that grow, and neighbours, make it longer"
    )


def _seconds(config: DictConfig, overrides: list[str], most: int | None) -> float | None:
    """How long one job would take; None where that cannot be told."""
    epochs = config.trainer.max_epochs
    if (epochs is None or epochs < _EPOCHS) and budget(config) == math.inf:
        return None
    with tempfile.TemporaryDirectory() as folder:
        place = f"hydra.run.dir={typed.quoted(Path(folder))}"
        quick = (*_QUICKLY, f"trainer.max_epochs={_EPOCHS}", "trainer.max_steps=-1", place)
        environment = {**clean(os.environ), **places.threads(config, most)}
        command = [sys.executable, "-m", "kasmina", *overrides, *quick]
        began = time.monotonic()
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        took = time.monotonic() - began
        seen = progress(Path(folder), f"val/{config.task.monitor}")
        if done.returncode or seen is None:
            return None
        return took + seen.left(epochs, budget(config))


def _report(folder: Path) -> None:
    from kasmina.report import write_report

    if any(job.state in jobs.DONE for job in jobs.read(folder).values()):
        print(write_report([folder]))
