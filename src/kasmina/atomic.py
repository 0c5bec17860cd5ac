"""Small files that are written whole or not at all."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a file of words in one go: a reader, or a kill, finds the old one or the new one.

    It need not last through a loss of power, as a checkpoint does.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        beside.write_text(text, newline="")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
