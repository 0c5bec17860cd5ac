"""Text from a file of the user's, or one that is fetched by address and checksum."""

from collections.abc import Sequence
from pathlib import Path

from kasmina.data.files import fetch, problem
from kasmina.data.text import Level, Text


class TextFile(Text):
    """A UTF-8 text file below the data root.

    Args:
        root: the data root.
        file: path below it.
        download: fetch the file from ``url`` if it is missing.
        url: where it can be fetched.
        sha256: of the file at ``url``, in hexadecimal.

    The others as ``Text``.

    Raises:
        ValueError: download without an address and its checksum.
    """

    def __init__(
        self,
        *,
        root: str,
        file: str,
        download: bool = False,
        url: str | None = None,
        sha256: str | None = None,
        level: Level = "char",
        fractions: Sequence[float] = (0.9, 0.05, 0.05),
        vocab_size: int,
        context: int = 64,
        batches_per_epoch: int = 100,
        batch_size: int = 32,
        seed: int = 0,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            level=level,
            fractions=fractions,
            vocab_size=vocab_size,
            context=context,
            batches_per_epoch=batches_per_epoch,
            batch_size=batch_size,
            seed=seed,
            gate_size=gate_size,
            race_size=race_size,
        )
        if download and not (url and sha256):
            raise ValueError("data.download needs data.url and data.sha256")
        self.file, self.path = file, Path(root).expanduser() / file
        self.download, self.url, self.sha256 = download, url, sha256

    def missing(self) -> str | None:
        fault = problem(self.path)
        if fault is None or self._to_fetch:
            return None
        fetching = ", or set data.download=true" if self.url else ""
        return f"{fault}; point data.root at the folder of {self.file}{fetching}"

    def prepare_data(self) -> None:
        if self._to_fetch:
            assert self.url is not None
            assert self.sha256 is not None
            fetch(self.url, self.path, sha256=self.sha256)

    def read(self) -> str:
        try:
            return self.path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path.resolve()} is no UTF-8 text: {error}") from error

    @property
    def title(self) -> str:
        return self.path.name

    @property
    def _to_fetch(self) -> bool:
        return self.download and not self.path.exists()
