"""What is held out of training: disjoint from all else, and nothing where nothing is asked."""

from itertools import combinations
from typing import Any

import pytest
import torch

from kasmina.data.digits import Digits
from kasmina.data.held import hold_out
from kasmina.data.order import EpochBatches
from kasmina.data.samples import Samples, Windows
from kasmina.data.synthetic import Synthetic, SyntheticTokens
from kasmina.data.text import Text


class Alphabet(Text):
    """A text in which no character comes twice, so that a token tells where it stands."""

    def __init__(self, **held: int) -> None:
        options = {"vocab_size": 600, "context": 8, "batches_per_epoch": 3}
        more = {**options, "batch_size": 4, "seed": 0, **held}
        super().__init__(level="char", fractions=[0.6, 0.2, 0.2], **more)

    def read(self) -> str:
        return "".join(map(chr, range(600)))


SMALL = {"train_size": 40, "val_size": 20, "test_size": 20}
MODULES: dict[str, Any] = {
    "digits": Digits,
    "text": Alphabet,
    "synthetic": lambda **held: Synthetic(in_features=6, num_classes=3, **SMALL, **held),
    "synthetic_tokens": lambda **held: SyntheticTokens(**SMALL, **held),
}
SPLITS = ("train", "val", "test", "gate", "race")
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


def loaded(make: Any, **held: int) -> Any:
    data = make(**held)
    data.setup("fit")
    data.setup("test")
    return data


def contents(part: Samples | Windows) -> list[tuple[float, ...]]:
    """Every sample; of a text, every token."""
    rows = part.tokens[:, None] if isinstance(part, Windows) else part.inputs.flatten(1)
    return [tuple(row) for row in rows.tolist()]


@every_module
def test_no_two_parts_share_a_sample(make: Any) -> None:
    data, plain = loaded(make, gate_size=9, race_size=5), loaded(make)
    parts = {split: set(contents(data.dataset(split))) for split in SPLITS}
    known = {split: set(contents(plain.dataset(split))) for split in SPLITS[:3]}
    for one, other in combinations(SPLITS, 2):
        assert not parts[one] & parts[other]
    assert parts["val"] == known["val"]
    assert parts["test"] == known["test"]
    assert parts["train"] | parts["gate"] | parts["race"] == known["train"]


@every_module
def test_the_parts_have_the_sizes_that_are_asked_for(make: Any) -> None:
    data = loaded(make, gate_size=9, race_size=5)
    for split, size in (("gate", 9), ("race", 5)):
        loader = data.in_order(split)
        assert sum(len(targets) for _, targets in loader) == len(data.dataset(split)) == size


@every_module
def test_without_sizes_training_is_what_it_was_and_nothing_is_held_out(make: Any) -> None:
    data, same = loaded(make), make()
    straight, rows = same.load("train"), torch.arange(10)
    for mine, its in zip(data.dataset("train")[rows], straight[rows], strict=True):
        assert torch.equal(mine, its)
    assert len(data.dataset("train")) == len(straight)
    with pytest.raises(LookupError, match=r"^no gate split: data.gate_size is 0$"):
        data.in_order("gate")


@every_module
def test_a_part_that_grows_keeps_what_it_had_whatever_the_other_does(make: Any) -> None:
    few, more = loaded(make, gate_size=4), loaded(make, gate_size=9, race_size=5)
    assert set(contents(few.dataset("gate"))) <= set(contents(more.dataset("gate")))


@every_module
def test_what_leaves_nothing_to_train_on_is_refused_in_one_line(make: Any) -> None:
    total = len(make().load("train"))
    with pytest.raises(ValueError, match=r"^data.gate_size \d+ and data.race_size 2 leave too few"):
        make(gate_size=total - 3, race_size=2).setup("fit")
    with pytest.raises(ValueError, match="race_size is at least 0, not -1"):
        make(race_size=-1)


def test_samples_are_held_out_by_class_wherever_they_lie() -> None:
    targets = torch.arange(5).repeat_interleave(20)
    parts = hold_out(Samples(targets[:, None], targets), gate=25, race=10)
    counts = {split: torch.bincount(part.targets, minlength=5) for split, part in parts.items()}
    assert counts["gate"].tolist() == [5] * 5
    assert counts["race"].tolist() == [2] * 5
    assert counts["train"].tolist() == [13] * 5
    assert torch.equal(parts["train"].targets, parts["train"].targets.sort().values)


@pytest.mark.parametrize("gate", [0, 1, 4])
@pytest.mark.parametrize("race", [0, 1, 3])
def test_no_token_is_in_two_parts_of_a_text(gate: int, race: int) -> None:
    parts = hold_out(Windows(torch.arange(100), 8), gate=gate, race=race)
    tokens = [token for part in parts.values() for token in part.tokens.tolist()]
    assert sorted(tokens) == list(range(100))
    assert {split: len(part) for split, part in parts.items() if split != "train"} == {
        split: size for split, size in (("gate", gate), ("race", race)) if size
    }


@pytest.mark.parametrize("size", [16, 17, 19, 23])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_places_of_all_ranks_are_the_dataset_once(size: int, world: int) -> None:
    seen = []
    for rank in range(world):
        order = EpochBatches(size, 3, shuffle=False, rank=rank, world_size=world)
        for number, batch in enumerate(order):
            places = list(order.places(number))
            assert batch[: len(places)].tolist() == places
            seen += places
    assert sorted(seen) == list(range(size))
