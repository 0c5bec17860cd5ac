"""Text as tokens: bytes or characters, three contiguous parts, windows of each."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from kasmina.data.base import DataModule, Split, check
from kasmina.data.samples import Windows
from kasmina.suggest import unknown

Level = Literal["byte", "char"]


def encode(text: str, level: Level) -> tuple[Tensor, int]:
    """Tokens of a text, and how many different ones there can be.

    ``byte`` takes the 256 values of UTF-8. ``char`` numbers the text's own characters in the
    order of their code points.

    Shape:
        (number of tokens,), in the narrowest type that holds the vocabulary.
    """
    if level == "byte":
        return torch.frombuffer(bytearray(text, "utf-8"), dtype=torch.uint8), 256
    codes = torch.frombuffer(bytearray(text, "utf-32-le"), dtype=torch.int32)
    alphabet, tokens = torch.unique(codes, return_inverse=True)
    return tokens.to(torch.uint8 if len(alphabet) <= 256 else torch.int32), len(alphabet)


class Text(DataModule):
    """Next-token prediction on one text; a subclass gives ``read`` and the name of its text.

    The first part of the text is for training, the next for validation, the rest for the test.
    An epoch of training is ``batches_per_epoch`` batches of windows that begin anywhere;
    validation and test are windows that do not overlap.

    The alphabet of ``level: char`` is that of the whole text, as in nanoGPT: which characters
    there are is part of the task; which follow which is not known outside the training part.

    Args:
        level: ``byte`` or ``char``.
        fractions: of the text, for train, validation and test; ``[0.9, 0.1, 0]`` is nanoGPT's
            split and has no test.
        vocab_size: V, checked.
        context: T, tokens of one window.
        batches_per_epoch: training batches of one epoch on one rank.
        batch_size: windows of one batch on one rank.
        seed: of the order of training batches.
        gate_size: windows at the end of the training part that are held out for gates.
        race_size: the same for races, before them.

    Shape:
        inputs and targets (B, T) int64, the targets shifted by one token.
    """

    def __init__(
        self,
        *,
        level: Level,
        fractions: Sequence[float],
        vocab_size: int,
        context: int,
        batches_per_epoch: int,
        batch_size: int,
        seed: int,
        gate_size: int = 0,
        race_size: int = 0,
    ) -> None:
        super().__init__(
            batch_size=batch_size,
            seed=seed,
            draws=batches_per_epoch,
            gate_size=gate_size,
            race_size=race_size,
        )
        if level not in get_args(Level):
            raise ValueError(unknown("level", level, get_args(Level)))
        if len(fractions) != 3 or abs(sum(fractions) - 1) > 1e-6 or min(fractions) < 0:
            raise ValueError(
                "fractions are three shares for train, validation and test that add up to 1, "
                f"such as [0.9, 0.05, 0.05], not {list(fractions)}"
            )
        if context < 1:
            raise ValueError(f"context is at least 1 token, not {context}")
        self.level, self.fractions = level, fractions
        self.vocab_size, self.context = vocab_size, context

    @abstractmethod
    def read(self) -> str:
        """The whole text."""

    @property
    def title(self) -> str:
        """How errors call the text."""
        return type(self).__name__

    @property
    def has_test(self) -> bool:
        return self.fractions[2] > 0

    def load(self, split: Split) -> Windows:
        if split == "test" and not self.has_test:
            raise ValueError(f"no test part of {self.title}: fractions {list(self.fractions)}")
        tokens, vocab_size = encode(self.read(), self.level)
        where = f"{self.title} by {self.level}"
        check(where, {"vocab_size": self.vocab_size}, {"vocab_size": vocab_size})
        begin, end = self._span(split, len(tokens))
        if end - begin <= self.context:
            raise ValueError(
                f"the {split} part of {self.title} has {end - begin} tokens, but a window of "
                f"context {self.context} and its target need {self.context + 1}"
            )
        stride = 1 if split == "train" else self.context
        return Windows(tokens[begin:end].clone(), self.context, stride=stride)

    def _span(self, split: Split, length: int) -> tuple[int, int]:
        """Where the split's part begins and ends."""
        train, val, _ = self.fractions
        first = int(length * train)
        second = int(length * (train + val)) if self.has_test else length
        return {"train": (0, first), "val": (first, second), "test": (second, length)}[split]
