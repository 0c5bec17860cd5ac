"""Text as tokens, in three contiguous parts."""

import pytest
import torch

from kasmina.data.base import Split
from kasmina.data.text import Level, Text, encode

WORDS = "was it a cat I saw? " * 20  # 400 characters, 9 different


class Line(Text):
    """A line of text in memory."""

    def __init__(self, **options: object) -> None:
        usual = {"level": "char", "fractions": [0.8, 0.1, 0.1], "vocab_size": 9, "context": 4}
        super().__init__(**{**usual, "batches_per_epoch": 3, "batch_size": 5, "seed": 0, **options})

    def read(self) -> str:
        return WORDS


def parts(data: Text) -> dict[str, list[int]]:
    data.setup("fit")
    splits: list[Split] = ["train", "val"]
    if data.has_test:
        data.setup("test")
        splits.append("test")
    return {split: data.dataset(split).tokens.tolist() for split in splits}


def test_bytes_are_those_of_utf_8() -> None:
    tokens, size = encode("né", "byte")
    assert tokens.tolist() == list("né".encode())
    assert size == 256


@pytest.mark.parametrize("text", ["banana", "né—…é", "".join(map(chr, range(32, 900)))])
def test_characters_are_numbered_in_the_order_of_their_code_points(text: str) -> None:
    tokens, size = encode(text, "char")
    alphabet = sorted(set(text))
    assert size == len(alphabet)
    assert "".join(alphabet[token] for token in tokens.tolist()) == text
    assert tokens.dtype == (torch.uint8 if size <= 256 else torch.int32)


@pytest.mark.parametrize("level", ["char", "byte"])
@pytest.mark.parametrize("fractions", [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.7, 0.3, 0]])
def test_the_parts_are_contiguous_and_together_the_text(
    level: Level, fractions: list[float]
) -> None:
    data = Line(level=level, fractions=fractions, vocab_size=256 if level == "byte" else 9)
    found = parts(data)
    assert [token for part in found.values() for token in part] == encode(WORDS, level)[0].tolist()
    sizes = [len(part) for part in found.values()]
    assert sizes == pytest.approx([400 * share for share in fractions if share], abs=1)


def test_nanogpt_s_split_is_nine_tenths_and_the_rest_and_no_test() -> None:
    data = Line(fractions=[0.9, 0.1, 0.0])
    assert [len(part) for part in parts(data).values()] == [int(400 * 0.9), 400 - int(400 * 0.9)]
    assert not data.has_test
    with pytest.raises(ValueError, match=r"no test part.*fractions \[0.9, 0.1, 0.0\]"):
        data.setup("test")


def test_an_epoch_is_so_many_batches_of_random_windows() -> None:
    data = Line()
    data.setup("fit")
    loader = data.train_dataloader()
    epochs = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        batches = list(loader)
        assert [tuple(inputs.shape) for inputs, _ in batches] == [(5, 4)] * 3
        epochs.append(torch.cat([inputs for inputs, _ in batches]))
        for inputs, targets in batches:
            assert torch.equal(inputs[:, 1:], targets[:, :-1])
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])


def test_evaluation_windows_do_not_overlap() -> None:
    data = Line()
    data.setup("fit")
    read = torch.cat([inputs.flatten() for inputs, _ in data.val_dataloader()])
    assert torch.equal(read, data.dataset("val").tokens[: len(read)].long())
    assert len(read) == 36  # of 40, the last of which is a target only


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "word"}, "unknown level 'word'; possible: byte, char"),
        ({"fractions": [0.9, 0.1]}, "three shares"),
        ({"fractions": [0.9, 0.2, -0.1]}, "three shares"),
        ({"fractions": [0.9, 0.05, 0.01]}, "three shares"),
        ({"vocab_size": 65}, "^data.vocab_size came as 65, but Line by char has vocab_size 9$"),
        ({"context": 40}, "the val part of Line has 40 tokens, but .* need 41"),
        ({"context": 0}, "context is at least 1 token, not 0"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Line(**options).setup("fit")
