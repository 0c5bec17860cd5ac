"""Weights & Biases that never asks: offline where no key is found."""

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger


def wandb(*, save_dir: str, offline: bool | None = None, **options: Any) -> WandbLogger:
    """Lightning's W&B logger.

    Args:
        save_dir: where the run's files lie; it is made if it is missing.
        offline: write files only, ``wandb sync`` uploads them later; None: when there is no key.
        options: of ``lightning.pytorch.loggers.WandbLogger``.
    """
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    alone = not has_key() if offline is None else offline
    return WandbLogger(save_dir=save_dir, offline=alone, **options)


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
