"""The two forms in which CIFAR-10 comes: parquet with encoded images, and Python 2 pickles."""

import importlib.util
import pickle
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from kasmina.data.files import problem

FilePart = Literal["train", "test"]
FOLDER = "cifar-10-batches-py"
_BATCHES: dict[str, tuple[str, ...]] = {
    "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
    "test": ("test_batch",),
}


class Source(Protocol):
    """A copy of the data set on disk."""

    @property
    def folder(self) -> Path:
        """Where it lies."""

    def problem(self) -> str | None:
        """One line on what is missing or damaged, or None."""

    def labels(self, part: FilePart) -> Tensor:
        """All labels of a part: (N,) int64."""

    def images(self, part: FilePart, rows: Tensor) -> Tensor:
        """Images at ``rows`` (B,), in that order: (B, 3, 32, 32) uint8."""


def find(folder: Path) -> Source | None:
    """The copy in ``folder``, or None."""
    for pickles in (folder / FOLDER, folder):
        if any((pickles / name).exists() for names in _BATCHES.values() for name in names):
            return Pickles(pickles)
    for shards in (folder, folder / "plain_text"):  # how the hub names the folder
        if any(shards.glob("train*.parquet")) or any(shards.glob("test*.parquet")):
            return Parquet(shards)
    return None


@dataclass(frozen=True)
class Parquet:
    """``train*.parquet`` and ``test*.parquet`` with columns ``img`` (a struct with the encoded
    ``bytes``) and ``label``, as the Hugging Face hub serves them."""

    folder: Path

    def problem(self) -> str | None:
        lacking = [name for name in ("pyarrow", "PIL") if importlib.util.find_spec(name) is None]
        if lacking:
            return f"parquet needs {' and '.join(lacking)}: pip install 'kasmina[cifar]'"
        for part in ("train", "test"):
            for path in self._paths(part) or [self.folder / f"{part}.parquet"]:
                if fault := problem(path, begins=b"PAR1", ends=b"PAR1"):
                    return fault
        return None

    def labels(self, part: FilePart) -> Tensor:
        return torch.from_numpy(self._column(part, "label").to_numpy().astype(np.int64))

    def images(self, part: FilePart, rows: Tensor) -> Tensor:
        encoded = self._column(part, "img").take(rows.numpy()).combine_chunks()
        try:
            decoded = np.stack([_decode(item) for item in encoded.field("bytes").to_pylist()])
        except OSError as error:  # how Pillow says it
            raise ValueError(f"{self.folder.resolve()} holds bytes that are no image") from error
        return torch.from_numpy(decoded).permute(0, 3, 1, 2).contiguous()

    def _paths(self, part: str) -> list[Path]:
        return sorted(self.folder.glob(f"{part}*.parquet"))

    def _column(self, part: str, name: str) -> Any:
        import pyarrow.parquet as pq

        return pq.read_table([str(path) for path in self._paths(part)], columns=[name])[name]


def _decode(encoded: bytes) -> np.ndarray[Any, Any]:
    """(H, W, 3) uint8 from a JPEG or PNG."""
    from PIL import Image

    with Image.open(BytesIO(encoded)) as image:
        return np.asarray(image.convert("RGB"))


@dataclass(frozen=True)
class Pickles:
    """``data_batch_1`` to ``data_batch_5`` and ``test_batch``: dicts of ``data`` (N, 3072) uint8
    and ``labels``, as https://www.cs.toronto.edu/~kriz/cifar.html describes them."""

    folder: Path

    def problem(self) -> str | None:
        for names in _BATCHES.values():
            for name in names:
                # every pickle of protocol 2 and later begins and ends so
                if fault := problem(self.folder / name, begins=b"\x80", ends=b"."):
                    return fault
        return None

    def labels(self, part: FilePart) -> Tensor:
        return torch.tensor([label for batch in self._read(part) for label in batch[b"labels"]])

    def images(self, part: FilePart, rows: Tensor) -> Tensor:
        flat = np.concatenate([batch[b"data"] for batch in self._read(part)])
        return torch.from_numpy(flat[rows.numpy()]).view(-1, 3, 32, 32)

    def _read(self, part: FilePart) -> list[dict[bytes, Any]]:
        return [_unpickle(self.folder / name) for name in _BATCHES[part]]


# the function has moved between versions of numpy; an array names the present one
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Reads plain values and arrays; anything else that a pickle could call is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return _ALLOWED[module, name]


def _unpickle(path: Path) -> dict[bytes, Any]:
    with path.open("rb") as file:
        try:
            batch: dict[bytes, Any] = _ArraysOnly(file, encoding="bytes").load()
        except pickle.UnpicklingError as error:
            raise ValueError(f"{path.resolve()} is refused: {error}") from error
    return batch
