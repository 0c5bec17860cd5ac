"""The text that every Python brings: the documentation topics behind ``help()``."""

import importlib
import importlib.util
from collections.abc import Sequence

from kasmina.data.text import Level, Text

_MODULE = "pydoc_data.topics"


class StdlibText(Text):
    """Some 460,000 characters of technical English, in the order of the topics' names.

    The text is that of the running Python: compare runs on one version only, and give
    ``vocab_size`` for its characters when ``level`` is ``char``.

    Args: as ``Text``.
    """

    def __init__(
        self,
        *,
        level: Level = "byte",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        vocab_size: int = 256,
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

    def missing(self) -> str | None:
        if importlib.util.find_spec("pydoc_data") is None:
            return f"this Python was installed without {_MODULE}, the text of help()"
        return None

    def read(self) -> str:
        topics: dict[str, str] = importlib.import_module(_MODULE).topics
        return "\n".join(topics[name] for name in sorted(topics))
