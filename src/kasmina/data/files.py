"""Files from outside: is one there and whole, and how to fetch one with a checksum."""

from pathlib import Path

from torch.hub import download_url_to_file


def problem(path: Path, *, begins: bytes = b"", ends: bytes = b"") -> str | None:
    """One line on a file that is missing, empty or cut off, or None.

    Args:
        path: where it should lie.
        begins: its format's first bytes.
        ends: its format's last bytes; a file that was cut off lacks them.
    """
    if not path.is_file():
        return f"no file {path.resolve()}"
    with path.open("rb") as file:
        first = file.read(max(1, len(begins)))
        file.seek(max(0, path.stat().st_size - len(ends)))
        last = file.read()[: len(ends)]
    if not first:
        return f"{path.resolve()} is empty"
    if not first.startswith(begins):
        return f"{path.resolve()} is damaged: it begins with {first!r}, not {begins!r}"
    if last != ends:
        return f"{path.resolve()} is damaged: it ends with {last!r}, not {ends!r}"
    return None


def fetch(url: str, path: Path, *, sha256: str) -> None:
    """Download ``url`` to ``path``, which appears only once the checksum is right.

    Raises:
        ConnectionError: no network, or no such address.
        ValueError: what came is not the file that the checksum names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    by_hand = f"or put the file at {path.resolve()} by hand"
    try:
        download_url_to_file(url, str(path), hash_prefix=sha256, progress=False)
    except OSError as error:
        raise ConnectionError(f"cannot download {url}: {error}; try again {by_hand}") from error
    except RuntimeError as error:  # how torch.hub says that the hash is wrong
        raise ValueError(
            f"the download of {url} is damaged: {error}; try again {by_hand}"
        ) from error
