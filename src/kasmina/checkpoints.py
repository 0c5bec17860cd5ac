"""Checkpoint files: written whole or not at all, checked before they are read, told apart by age.

A file holds what Lightning saves, and under ``kasmina`` the format, the version of the program that
wrote it and the number of ranks. Tensors and plain values only, so that it opens with
``torch.load(path, weights_only=True)``.
"""

import logging
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins import TorchCheckpointIO

from kasmina._version import __version__

log = logging.getLogger(__name__)

FORMAT = 5
"""1 had no stamp; its loader began an interrupted epoch anew. 2 counted lost races by network.
3 had one winner's weights a race. In 4 every candidate had its turn by itself, which is what an
entry says that says nothing of others."""

STAMP = "kasmina"
FOLDER = "checkpoints"
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)
"""What ``zipfile`` raises of a file that is not as it was written."""

LAST, BEST = "last", "best"


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's way to the disk, through ``write`` and ``read``."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a stamped checkpoint.

        Raises:
            OSError: it cannot be written; what was there before is as it was.
        """
        assert storage_options is None, "a local file has no storage options"
        write(Path(path), {**checkpoint, STAMP: _stamp()})

    def load_checkpoint(
        self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """See ``read``; nothing but plain values is ever loaded."""
        return read(Path(path), map_location)


def write(path: Path, content: dict[str, Any]) -> None:
    """Save ``content`` so that at every moment ``path`` is the file before or the whole new one.

    Raises:
        OSError: the disk is full or the folder cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")  # os.replace needs the same file system
    try:
        with beside.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # torch's writer has words of its own for a full disk
        reason = str(error).partition("\n")[0]
        raise OSError(f"cannot save {path}: {reason}; what was there is as it was") from error
    finally:
        beside.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint of this program, brought to the format of now.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is damaged, holds more than plain values, is none of ours, or is of a later
            format than this program reads.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint: {path} does not exist")
    if problem := damage(path):
        raise ValueError(f"{path} is damaged: {problem}")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} is refused: it holds more than tensors and values") from error
    return upgrade(content, path)


def damage(path: Path) -> str | None:
    """What is wrong with a file, None where every byte of every record is as it was written.

    ``torch.load`` does not look at the checksums that ``torch.save`` writes.
    """
    try:
        with zipfile.ZipFile(path) as records:
            broken = records.testzip()
        if broken is None:
            torch.load(path, weights_only=True, mmap=True)  # headers, of which zip knows less
    except pickle.UnpicklingError:
        return None  # whole, and refused where it is read
    except _BROKEN as error:
        return str(error).lower().partition("\n")[0]
    return None if broken is None else f"wrong checksum in {broken}"


def upgrade(content: Any, path: Path) -> dict[str, Any]:
    """``content`` in the format of now.

    Raises:
        ValueError: it is no checkpoint of ours, or of a later format.
    """
    if not isinstance(content, dict) or not {"topology", "state_dict"} <= content.keys():
        raise ValueError(f"{path} is no checkpoint of kasmina: it says nothing of slots")
    stamp = content.get(STAMP, {"format": 1})
    if stamp["format"] > FORMAT:
        raise ValueError(
            f"{path} has format {stamp['format']}, written by kasmina {stamp['version']}; this is "
            f"kasmina {__version__}, which reads formats up to {FORMAT}: "
            f"install kasmina>={stamp['version']}"
        )
    for step in (_from_first, _from_second, _from_third)[stamp["format"] - 1 :]:
        step(content)
    return content


def _from_first(content: dict[str, Any]) -> None:
    """Say of the loader what the loop knows, and leave out a callback that has another name now."""
    loop = content["loops"]["fit_loop"]
    given = loop["epoch_loop.batch_progress"]["current"]["completed"]
    loop["state_dict"].setdefault("combined_loader", [{"batches": given, "round": None}])
    states = content.get("callbacks", {})
    for key in [key for key in states if key.startswith("RunCheckpoint{'monitor': None")]:
        del states[key]


def _from_second(content: dict[str, Any]) -> None:
    """Say of slots how many races in a row they lost, where it was said of the network."""
    state = content.get("callbacks", {}).get("Lifecycle", {})
    count = state.get("lost", 0)
    raced = state.get("raced", ()) if count else ()
    lost = {entry["site"]: {"count": count, "tick": entry["tick"]} for entry in raced}
    state.update({"lost": lost} if state else {})


def _from_third(content: dict[str, Any]) -> None:
    """Say of a winner's weights whose they are."""
    state = content.get("callbacks", {}).get("Lifecycle", {})
    born = [move["site"] for move in state.get("pending", ()) if move["event"] == "germinate"]
    if state.get("weights"):
        state["weights"] = {site: state["weights"] for site in born[:1]}


def kept(folder: Path, name: str = LAST) -> list[Path]:
    """The files of one name that there are in ``folder``, the newest first."""
    older = sorted(folder.glob(f"{name}-*.ckpt"), key=_age)
    return [path for path in (folder / f"{name}.ckpt", *older) if path.is_file()]


def rotate(path: Path, keep: int) -> None:
    """Before ``path`` is written anew: its content stays as ``<name>-1``, and so on to ``keep``."""
    if keep < 2 or not path.is_file():
        return
    for age in range(keep - 2, 0, -1):
        if (younger := _aged(path, age)).is_file():
            os.replace(younger, _aged(path, age + 1))
    beside = path.with_name(f".{path.name}.old")
    beside.unlink(missing_ok=True)
    try:
        os.link(path, beside)  # so that ``path`` itself is never missing
    except OSError:  # a file system without links
        shutil.copyfile(path, beside)
    os.replace(beside, _aged(path, 1))


def to_go_on_from(run: Path) -> Path:
    """The newest readable checkpoint of a run; damaged ones are named and passed over.

    Args:
        run: the run's folder.

    Raises:
        ValueError: there is none.
    """
    candidates = list(candidates_of(run))
    for path in candidates:
        problem = damage(path)
        if problem is None:
            return path
        log.warning("%s is damaged (%s); the one before it is tried", path, problem)
    names = ", ".join(path.name for path in candidates)
    found = f"all are damaged: {names}" if candidates else "there is none"
    raise ValueError(f"resume: no readable checkpoint in {run / FOLDER}: {found}")


def candidates_of(run: Path) -> Iterator[Path]:
    """What a run could go on from, in the order in which it is tried."""
    for name in (LAST, BEST):
        yield from kept(run / FOLDER, name)


def _aged(path: Path, age: int) -> Path:
    return path.with_name(f"{path.stem}-{age}{path.suffix}")


def _age(path: Path) -> int:
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _stamp() -> dict[str, Any]:
    together = dist.is_available() and dist.is_initialized()
    ranks = dist.get_world_size() if together else 1
    return {"format": FORMAT, "version": __version__, "world_size": ranks}


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a loss of power."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
