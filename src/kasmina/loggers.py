"""Weights & Biases that never asks: offline where no key is found."""

import netrc
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger


def wandb(*, save_dir: str, offline: bool | None = None, **options: Any) -> WandbLogger:
    """Lightning's W&B logger; a run folder has one W&B run, however often it is resumed.

    Args:
        save_dir: where the run's files lie; it is made if it is missing.
        offline: write files only, ``wandb sync`` uploads them later; None: when there is no key.
        options: of ``lightning.pytorch.loggers.WandbLogger``.
    """
    folder = Path(save_dir)
    folder.mkdir(parents=True, exist_ok=True)
    alone = not has_key() if offline is None else offline
    options = {"id": run_id(folder), **options}
    return WandbLogger(save_dir=save_dir, offline=alone, **options)


def run_id(folder: Path) -> str:
    """The W&B run of a run folder: a resumed run, and every rank, writes into the same one."""
    path = folder / "wandb.id"
    try:
        with path.open("x") as file:
            file.write(uuid.uuid4().hex[:8])
    except FileExistsError:
        pass
    return path.read_text()


def has_key() -> bool:
    """Whether W&B would find a key: in its environment variable, or in the user's netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(path).authenticators(str(host)) is not None
    except (FileNotFoundError, netrc.NetrcParseError):
        return False
