"""What a run ran on, so that it can be repeated."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import torch

from kasmina._version import __version__


def environment(seed: int, overrides: Sequence[str]) -> dict[str, Any]:
    """Versions, machine, commit, seed and command, as plain values."""
    cuda = torch.cuda.is_available()
    return {
        "kasmina": __version__,
        "torch": torch.__version__,
        "lightning": importlib.metadata.version("lightning"),
        "hydra": importlib.metadata.version("hydra-core"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "seed": seed,
        "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        "overrides": list(overrides),
    }


def _git(*arguments: str) -> str | None:
    """What git says of the working directory; None where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
