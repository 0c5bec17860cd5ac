"""The entry point: ``kasmina [overrides]`` trains, ``kasmina <command>`` does the rest."""

import logging
import os
import sys
import warnings

from kasmina import commands
from kasmina._version import __version__
from kasmina.faults import Interrupted, RunFailed, UsageFaults
from kasmina.launch import launch
from kasmina.ranks import end_with_parent
from kasmina.request import COMMANDS

OK, FAILED, WRONG, STOPPED = 0, 1, 2, 130
"""Exit codes: done; a run ended with an error; the command line or the config is wrong; Ctrl-C."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _prepare()
    try:
        _dispatch(arguments)
    except UsageFaults as faults:
        for line in faults.lines:
            print(f"{faults.kind}: {line}", file=sys.stderr)
        return WRONG
    except RunFailed:
        return FAILED
    except BrokenPipeError:  # `kasmina --cfg job | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        print(str(stop) if isinstance(stop, Interrupted) else "interrupted", file=sys.stderr)
        return STOPPED
    return OK


def _prepare() -> None:
    end_with_parent()
    sys.path.append("")  # a user's own blueprint lies beside the user's conf
    logging.getLogger().addHandler(logging.NullHandler())  # or Lightning brings its own
    # Lightning's own business with torch
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated")
    # a resumed run goes on in its folder
    warnings.filterwarnings("ignore", message=r"Checkpoint directory .* is not empty")


def _dispatch(arguments: list[str]) -> None:
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        commands.run(arguments)
    elif {"-h", "--help"} & set(arguments):
        print(commands.overview())
    elif "--version" in arguments:
        print(f"kasmina {__version__}")
    else:
        launch(arguments)
