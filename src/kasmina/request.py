"""What stands on the command line of a training: flags of Hydra's, overrides, and ``resume``."""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from kasmina import hydra_api, jobs, typed
from kasmina.faults import ConfigFaults, UsageFaults
from kasmina.suggest import nearest
from kasmina.usage import Parser, one_of

COMMANDS = ("ablate", "attribute", "bench", "check", "eval", "list", "probe", "report", "sweep")

_RESUME, _AUTO, _RUN_DIR = "resume=", "auto", "hydra.run.dir="
_BASELINE = "baseline.run="
_SAVED = Path(".hydra") / "overrides.yaml"


@dataclass(frozen=True)
class Request:
    """A command line, read.

    Attributes:
        overrides: as Hydra takes them.
        flags: the others, as Hydra takes them, ``--multirun`` left out.
        root: the primary config.
        multirun: one run a combination of the values that the overrides list.
        cfg: show the config of the ``job``, of ``hydra`` or ``all`` instead of running.
        package: the part of ``cfg`` to show; None for all of it.
        resolve: with the interpolations of ``cfg`` resolved.
        asks: something is to be shown, and nothing run.
    """

    overrides: list[str]
    flags: list[str]
    root: str
    multirun: bool
    cfg: str | None
    package: str | None
    resolve: bool
    asks: bool

    @property
    def argv(self) -> list[str]:
        """For Hydra."""
        many = ["--multirun"] if self.multirun and not self.asks else []
        return [*self.flags, *many, *self.overrides]


def read(arguments: Sequence[str]) -> Request:
    """Read a command line.

    Raises:
        UsageFaults: an unknown flag or command; the nearest is named.
    """
    known = _parser().read(arguments)
    faults = [_no_override(each) for each in known.overrides if not _is_override(each)]
    if faults:
        misspelt = not _is_override(known.overrides[0])  # what follows is a command's arguments
        raise UsageFaults(*faults[: 1 if misspelt else None])
    if known.config_dir:
        folders = [known.config_dir, os.environ.get(hydra_api.USER_CONF, "")]
        os.environ[hydra_api.USER_CONF] = os.pathsep.join(filter(None, folders))
    return _request(known)


def _parser() -> Parser:
    parser = Parser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-r", "--run", action="store_true")
    parser.add_argument("-c", "--cfg", type=one_of("config to show", ("job", "hydra", "all")))
    parser.add_argument("-p", "--package")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-cn", "--config-name", default=hydra_api.ROOT)
    parser.add_argument("-cd", "--config-dir")
    parser.add_argument("-i", "--info", nargs="?", const="all")
    parser.add_argument("-sc", "--shell-completion", action="store_true")
    parser.add_argument("--hydra-help", action="store_true")
    parser.add_argument("--version", action="store_true")  # here for suggestions, answered before
    parser.add_argument("--help", action="store_true")
    return parser


def _request(known: Any) -> Request:
    flags = []
    for name in ("cfg", "package", "info"):
        if getattr(known, name):
            flags += [f"--{name}", getattr(known, name)]
    for name in ("resolve", "shell_completion", "hydra_help"):
        if getattr(known, name):
            flags.append(f"--{name.replace('_', '-')}")
    asks = bool(known.cfg or known.info or known.shell_completion or known.hydra_help)
    return Request(
        overrides=known.overrides,
        flags=flags,
        root=known.config_name,
        multirun=known.multirun,
        cfg=known.cfg,
        package=known.package,
        resolve=known.resolve,
        asks=asks,
    )


def _is_override(text: str) -> bool:
    return "=" in text or text.startswith("~")


def _no_override(text: str) -> str:
    near = nearest(text, COMMANDS)
    meant = f"did you mean {near!r}? " if near else ""
    return (
        f"{text!r} is no command; {meant}possible: {', '.join(COMMANDS)}, or overrides of the "
        "config: key=value"
    )


def resumed(request: Request) -> Request:
    """With ``resume=<run folder>``, that run's overrides come first, and its folder is used.

    With ``resume=auto`` it is the newest unfinished run of the same overrides; where there is none,
    a new one starts. Either is said.

    Raises:
        ConfigFaults: the folder is no run's, or has nothing to go on from.
    """
    folders = [text.removeprefix(_RESUME) for text in request.overrides if _is_resume(text)]
    if not folders or folders[-1] == "null":
        return request
    new = [text for text in request.overrides if not _is_resume(text)]
    if folders[-1] == _AUTO:
        folder = _newest(replace(request, overrides=new))
        if folder is None:
            return replace(request, overrides=new)
        first: list[str] = []
    else:
        folder = _path(folders[-1])
        first = _overrides_of(folder)
    here = [f"{_RESUME}{typed.quoted(folder)}", f"{_RUN_DIR}{typed.quoted(folder)}"]
    said_again = set(first)  # "+key=value" may not stand twice
    return replace(
        request, overrides=[*first, *here, *(text for text in new if text not in said_again)]
    )


def based(request: Request) -> Request:
    """With ``baseline.run=<run folder>``, that run's overrides come first: its data, its host.

    Raises:
        ConfigFaults: the folder is no run's.
    """
    folders = [text for text in request.overrides if text.startswith(_BASELINE)]
    if not folders:
        return request
    folder = _path(folders[-1].removeprefix(_BASELINE))
    if not (folder / _SAVED).is_file():
        raise ConfigFaults(f"baseline.run: {folder} is no run folder: it has no {_SAVED}")
    here = f"{_BASELINE}{typed.quoted(folder)}"
    new = [here if text in folders else text for text in request.overrides]
    first = [text for text in _overrides_in(folder, "baseline.run") if text not in new]
    return replace(request, overrides=[*first, *new])


def _path(said: str) -> Path:
    return Path(said.strip("'\"")).expanduser().resolve()


def _overrides_of(folder: Path) -> list[str]:
    saved = folder / _SAVED
    if not saved.is_file():
        raise ConfigFaults(f"resume: {folder} is no run folder: it has no {_SAVED}")
    if not _checkpoints(folder):
        raise ConfigFaults(f"resume: {folder} has no checkpoints/last.ckpt to go on from")
    return _overrides_in(folder, "resume")


def _overrides_in(folder: Path, key: str) -> list[str]:
    """The overrides that a run was started with, but for ``resume``; ``key`` named the folder."""
    overrides = _saved(folder)
    if overrides is None:
        raise ConfigFaults(f"{key}: {folder / _SAVED} is damaged: it is no list of overrides")
    return [text for text in overrides if not _is_resume(text)]


def _saved(folder: Path) -> list[str] | None:
    """The overrides that a run was started with; None where its list of them is damaged."""
    try:
        overrides = typed.plain(OmegaConf.load(folder / _SAVED)) or []
    except (YAMLError, OmegaConfBaseException, ValueError, OSError):
        return None
    whole = isinstance(overrides, list) and all(isinstance(text, str) for text in overrides)
    return overrides if whole else None


def _newest(request: Request) -> Path | None:
    """The unfinished run of this config that saved last, among those where it would be put."""
    try:
        own = Path(hydra_api.compose(request.overrides, request.root).paths.run_dir).resolve()
    except hydra_api.COMPOSITION_ERRORS:
        return None  # what is wrong is said when the job is checked
    named = any(text.startswith(_RUN_DIR) for text in request.overrides)
    places = [own] if named else own.parent.glob("*")
    found = [place for place in places if _is_unfinished(place, request.overrides)]
    newest = max(
        found, key=lambda run: max(c.stat().st_mtime for c in _checkpoints(run)), default=None
    )
    if newest is None:
        _say(f"resume=auto: no unfinished run of this config in {own.parent}; a new one starts")
    else:
        _say(f"resume=auto: goes on with {newest}")
    return newest


def _is_unfinished(folder: Path, overrides: Sequence[str]) -> bool:
    """Whether a folder is that of a run of these overrides that could go on."""
    if not (folder / _SAVED).is_file() or not _checkpoints(folder):
        return False
    if jobs.summary(folder).get("status") in jobs.DONE:
        return False
    saved = _saved(folder)
    return saved is not None and _own(saved) == _own(overrides)


def _own(overrides: Iterable[str]) -> list[str]:
    """Those that say what is trained, not where it is put."""
    return [text for text in overrides if not _is_resume(text) and not text.startswith(_RUN_DIR)]


def _checkpoints(folder: Path) -> list[Path]:
    return [*folder.glob("checkpoints/last*.ckpt"), *folder.glob("checkpoints/best*.ckpt")]


def _say(line: str) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(line, file=sys.stderr)


def _is_resume(text: str) -> bool:
    return text.startswith(_RESUME)
