"""An epoch that was interrupted goes on with the batch that comes next."""

from pathlib import Path

import pytest
import torch
from runs import VECTORS, made

from kasmina.data.loader import ResumableLoader


def loader(folder: Path, *options: str) -> ResumableLoader:
    data = made(folder, *VECTORS, *options).data
    data.setup("fit")
    found = data.train_dataloader()
    assert isinstance(found, ResumableLoader)
    return found


@pytest.mark.parametrize("given", range(5))
@pytest.mark.parametrize("options", [(), ("data.batch_size=24",)])
def test_it_begins_after_the_batches_that_were_given_out(
    tmp_path: Path, given: int, options: tuple[str, ...]
) -> None:
    whole = list(loader(tmp_path, *options))
    first, then = loader(tmp_path, *options), loader(tmp_path, *options)
    batches = iter(first)
    for _ in range(min(given, len(whole))):
        next(batches)
    then.load_state_dict(first.state_dict())
    rest = list(then)
    assert len(rest) == max(0, len(whole) - given)
    for (inputs, targets), (seen, aims) in zip(rest, whole[given:], strict=True):
        assert torch.equal(inputs, seen)
        assert torch.equal(targets, aims)


def test_only_the_next_epoch_is_cut_short_and_none_is_counted_shorter(tmp_path: Path) -> None:
    batches = loader(tmp_path)
    batches.load_state_dict({"batches": 3})
    assert len(batches) == 4
    assert [len(list(batches)) for _ in range(2)] == [1, 4]


def test_an_iterator_that_was_made_before_the_state_came_heeds_it(tmp_path: Path) -> None:
    batches = loader(tmp_path)
    made_early = iter(batches)
    batches.load_state_dict({"batches": 3})
    assert len(list(made_early)) == 1


def test_a_loader_that_is_overfitted_to_goes_on_as_well(tmp_path: Path) -> None:
    whole = list(loader(tmp_path))
    fixed = loader(tmp_path)
    plain = ResumableLoader(whole, batch_size=None, collate_fn=lambda batch: batch)
    plain.load_state_dict(fixed.state_dict() | {"batches": 2})
    assert len(list(plain)) == 2
