"""The documentation topics of the running Python as a corpus."""

import importlib.util

import pytest
import torch

from kasmina.data.stdlib_text import StdlibText


def test_every_python_brings_enough_text() -> None:
    data = StdlibText()
    assert data.missing() is None
    assert len(data.read()) > 300_000
    inputs, targets = data.example()
    assert inputs.shape == targets.shape == (2, 64)
    assert torch.equal(inputs[:, 1:], targets[:, :-1])


def test_the_character_level_names_the_alphabet_of_this_python() -> None:
    data = StdlibText(level="char", vocab_size=5)
    size = len(set(data.read()))
    with pytest.raises(ValueError, match=f"came as 5, but .* has vocab_size {size}"):
        data.setup("fit")
    StdlibText(level="char", vocab_size=size).setup("fit")


def test_a_python_without_the_topics_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "without pydoc_data.topics" in str(StdlibText().missing())
