"""``kasmina -m resume=...``: the same multirun again, in its folder."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from kasmina import hydra_api, typed
from kasmina.faults import ConfigFaults
from kasmina.multirun import COMMAND
from kasmina.ranks import from_outside
from kasmina.request import Request

_RESUME, _SWEEP_DIR = "resume=", "hydra.sweep.dir="
_LAUNCHER = "hydra/launcher="


def continued(request: Request) -> Request:
    """With ``resume=<multirun folder>`` its overrides come first, and its folder is used.

    With ``resume=auto`` it is the newest multirun of the same overrides; where there is none, a
    new one starts. Either is said. Jobs that are done are skipped, interrupted ones go on.

    Raises:
        ConfigFaults: the folder is no multirun's, another launcher is chosen, or every rank of
            torchrun or srun would run the whole multirun.
    """
    if from_outside():
        raise ConfigFaults(
            "-m: every rank of torchrun or srun would run all jobs; leave it out, and give each "
            "job its ranks by trainer=ddp trainer.devices=N"
        )
    said = [text.removeprefix(_RESUME) for text in request.overrides if text.startswith(_RESUME)]
    if not said or said[-1] == "null":
        return request
    new = [text for text in request.overrides if not text.startswith(_RESUME)]
    if any(text.startswith(_LAUNCHER) and text != f"{_LAUNCHER}process" for text in new):
        raise ConfigFaults("resume: only hydra/launcher=process goes on with a multirun")
    if said[-1] == "auto":
        folder = _newest(new, request.root)
        return replace(request, overrides=[*new, *([] if folder is None else _there(folder))])
    folder = Path(said[-1].strip("'\"")).expanduser().resolve()
    command = _command(folder)
    if command is None:
        raise ConfigFaults(f"resume: {folder} is no multirun's folder: it has no {COMMAND}")
    first = command["overrides"]
    changed = [text for text in new if text not in first]  # Hydra does not add a key twice
    return replace(request, overrides=[*first, *changed, *_there(folder)], root=command["root"])


def _there(folder: Path) -> list[str]:
    return [f"{_SWEEP_DIR}{typed.quoted(folder)}", "hydra.launcher.resume=true"]


def _newest(overrides: list[str], root: str) -> Path | None:
    """The multirun of these overrides that was started last."""
    try:
        own = hydra_api.sweep_dir(overrides, root).resolve()
    except hydra_api.COMPOSITION_ERRORS:
        return None  # what is wrong is said when the jobs are checked
    named = any(text.startswith(_SWEEP_DIR) for text in overrides)
    places = [own] if named else own.parent.glob("*")
    asked = {"root": root, "overrides": sorted(typed.chosen(overrides))}
    found = [place for place in places if _sorted(_command(place)) == asked]
    newest = max(found, key=lambda place: (place / COMMAND).stat().st_mtime, default=None)
    if newest is None:
        print(f"resume=auto: no such multirun in {own.parent}; a new one starts", file=sys.stderr)
    else:
        print(f"resume=auto: goes on with {newest}", file=sys.stderr)
    return newest


def _command(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads((folder / COMMAND).read_text())
        return found
    except (OSError, ValueError):  # none, or one that was being written
        return None


def _sorted(command: dict[str, Any] | None) -> dict[str, Any] | None:
    return command and {**command, "overrides": sorted(command["overrides"])}
