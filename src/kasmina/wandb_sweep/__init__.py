"""``kasmina sweep``: a sweep file of W&B's, with its server or without."""

import os
import sys
from argparse import Namespace
from pathlib import Path

from kasmina import hydra_api, typed
from kasmina.faults import ConfigFaults, UsageFaults
from kasmina.launch import launch
from kasmina.usage import Parser
from kasmina.wandb_sweep.file import Sweep, find, names, read
from kasmina.wandb_sweep.local import arguments

_RESUME = "resume"


def parser() -> Parser:
    """Arguments of the command."""
    parser = Parser(
        prog="kasmina sweep",
        description="Runs a sweep file of W&B's: registered there, with an agent here, or, with\n"
        "--local, by kasmina itself: the same runs as a multirun, with no key and no network.\n\n"
        f"files that come by name: {', '.join(names())}",
        epilog="examples:\n  kasmina sweep grid --local\n"
        "  kasmina sweep random --local -n 10 trainer.max_epochs=20\n"
        "  kasmina sweep mine.yaml --local --resume auto\n"
        "  kasmina sweep resume multirun/sweep_controllers/2026-01-01_12-00-00-000000\n"
        "  kasmina sweep bayes --project growth --count 10",
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="a path, or a name; resume DIR goes on with a multirun")
    add("overrides", nargs="*", default=[], help="of the config; they go before what the file says")
    add("--local", action="store_true", help="without W&B's server")
    add("-n", "--count", type=int, help="runs, at most (default: the file's run_cap, if any)")
    add("--resume", metavar="auto", choices=["auto"], help="go on with the newest such multirun")
    add("--project", help="of W&B (default: the file's)")
    add("--entity", help="of W&B: a user or a team (default: the file's)")
    return parser


def answer(known: Namespace) -> None:
    """Run the sweep.

    Raises:
        ConfigFaults: the file, an override or the folder is wrong.
        UsageFaults: arguments that do not go together, or no key for a server.
        RunFailed: runs have failed.
    """
    if known.file == _RESUME:
        _go_on(known)
        return
    if known.count is not None and known.count < 1:
        raise UsageFaults(f"--count: at least 1 run; {known.count} came")
    sweep = read(find(known.file)).overridden(_checked(known.overrides))
    if known.local:
        if known.project or known.entity:
            raise UsageFaults("--project and --entity are of W&B's server; --local has none")
        launch(arguments(sweep, count=known.count, resume=known.resume is not None))
        return
    if known.resume:
        raise UsageFaults("--resume goes with --local; W&B's server goes on by `wandb agent`")
    from kasmina.loggers import has_key

    if not has_key():
        raise UsageFaults(
            "no key of W&B: `wandb login`, or WANDB_API_KEY; or without a server: --local"
        )
    _serve(sweep, known)


def _go_on(known: Namespace) -> None:
    if not known.overrides or "=" in Path(known.overrides[0]).parts[0]:
        raise UsageFaults("which multirun? kasmina sweep resume DIR [overrides]")
    folder, *more = known.overrides
    launch(["-m", f"resume={typed.quoted(Path(folder))}", *more])


def _checked(overrides: list[str]) -> list[str]:
    for text in overrides:
        if "=" not in text and not text.startswith("~"):
            raise UsageFaults(f"{text!r} is no override of the config: key=value")
        try:
            swept = hydra_api.parse(text).is_sweep_override()
        except hydra_api.COMPOSITION_ERRORS as error:
            raise ConfigFaults(f"{text}: {str(error).splitlines()[0]}") from error
        if swept:
            raise UsageFaults(f"{text!r} has several values; what is varied stands in the file")
    return overrides


def _serve(sweep: Sweep, known: Namespace) -> None:
    """Register it, and be an agent until the server has no more runs, or ``count`` are done."""
    import wandb

    here = str(Path(sys.executable).parent)  # the kasmina that the agent starts is this one
    os.environ["PATH"] = os.pathsep.join([here, os.environ.get("PATH", "")])
    entity = known.entity or sweep.config.get("entity")
    project = known.project or sweep.config.get("project")
    try:
        number = wandb.sweep(dict(sweep.config), entity=entity, project=project)
        wandb.agent(number, entity=entity, project=project, count=known.count)
    except wandb.errors.Error as error:
        raise UsageFaults(f"W&B: {' '.join(str(error).split())}") from error
