"""What the command of every study under ``experiments/`` takes, and how its files are named."""

import re
from argparse import ArgumentParser
from pathlib import Path

import torch

from kasmina.bench.sheet import machine


def study_parser(about: str | None, here: Path, *, rounds: int) -> ArgumentParser:
    """``--device``, ``--rounds``, ``--out`` and ``--quick``.

    Args:
        about: the script's docstring.
        here: the study's folder, into which its results go.
        rounds: measurements of each case, unless told otherwise.
    """
    parser = ArgumentParser(description=about)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=device, help="cpu or cuda (default: what is here)")
    parser.add_argument("--rounds", type=int, default=rounds, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=here, help="folder, default: the study's own")
    parser.add_argument("--quick", action="store_true", help="sizes that prove nothing")
    return parser


def suffix(device: torch.device | str) -> str:
    """Behind the names of a GPU's files its name, so that they lie beside the CPU's."""
    if torch.device(device).type != "cuda":
        return ""
    return "_" + re.sub(r"\W+", "_", str(machine()["device"]).lower()).strip("_")
