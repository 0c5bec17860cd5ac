"""The order of batches is a pure function of seed and epoch, and ranks share it out."""

from collections.abc import Iterator
from itertools import chain, product

import pytest
import torch
import torch.distributed as dist

from kasmina.data.order import EpochBatches


def walked(order: EpochBatches) -> list[list[int]]:
    return [batch.tolist() for batch in order]


@pytest.mark.parametrize("draws", [None, 5])
def test_the_order_is_a_pure_function_of_seed_and_epoch(draws: int | None) -> None:
    seen = {}
    for seed, epoch in product(range(4), range(4)):
        order = EpochBatches(50, 8, seed=seed, draws=draws)
        for before in (3, 1):  # whatever epoch came before
            order.set_epoch(before)
            walked(order)
        order.set_epoch(epoch)
        fresh = EpochBatches(50, 8, seed=seed, draws=draws)
        fresh.set_epoch(epoch)
        assert walked(order) == walked(order) == walked(fresh)
        seen[seed, epoch] = str(walked(order))
    assert len(set(seen.values())) == 16


def test_the_order_neither_hears_nor_moves_the_global_generator() -> None:
    torch.manual_seed(1)
    one = walked(EpochBatches(50, 8))
    before = torch.get_rng_state()
    torch.manual_seed(2)
    assert walked(EpochBatches(50, 8)) == one
    torch.manual_seed(1)
    walked(EpochBatches(50, 8, draws=3))
    walked(EpochBatches(50, 8))
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("size", "batch_size", "world_size"),
    list(product([5, 12, 13, 24, 25], [1, 3, 4], [1, 2, 3, 4])),
)
def test_ranks_partition_an_epoch_in_equally_many_batches(
    size: int, batch_size: int, world_size: int, shuffle: bool
) -> None:
    ranks = [
        EpochBatches(size, batch_size, shuffle=shuffle, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    shares = [walked(rank) for rank in ranks]
    assert {len(share) for share in shares} == {len(rank) for rank in ranks} == {len(shares[0])}
    assert all(1 <= len(batch) <= batch_size for share in shares for batch in share)
    indices = [index for share in shares for batch in share for index in batch]
    rest = size % (batch_size * world_size)
    repeats = world_size - rest if 0 < rest < world_size else 0
    assert set(indices) == set(range(size))
    assert len(indices) == size + repeats


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_the_ranks_together_walk_the_order_of_one_process(world_size: int) -> None:
    alone = walked(EpochBatches(60, 12))
    ranks = [
        walked(EpochBatches(60, 12 // world_size, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    together = [sorted(chain.from_iterable(batches)) for batches in zip(*ranks, strict=True)]
    assert together == [sorted(batch) for batch in alone]


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_drop_last_keeps_full_batches_only(world_size: int) -> None:
    for rank in range(world_size):
        order = EpochBatches(50, 4, drop_last=True, rank=rank, world_size=world_size)
        assert [len(batch) for batch in walked(order)] == [4] * (50 // (4 * world_size))
        assert len(order) == 50 // (4 * world_size)


@pytest.mark.parametrize(("size", "world_size"), [*product([9, 13, 16, 17, 23], [1, 2, 3, 4])])
def test_the_mean_over_ranks_of_weighted_means_is_the_mean_over_samples(
    size: int, world_size: int
) -> None:
    ranks = [EpochBatches(size, 4, rank=rank, world_size=world_size) for rank in range(world_size)]
    for batch, shares in enumerate(zip(*ranks, strict=True)):
        weighted = [
            order.weight(batch) * share.double().mean()
            for order, share in zip(ranks, shares, strict=True)
        ]
        mean = torch.cat(shares).double().mean()
        torch.testing.assert_close(sum(weighted) / world_size, mean)
        if batch < len(ranks[0]) - 1:
            assert [order.weight(batch) for order in ranks] == [1.0] * world_size


def test_without_shuffle_the_order_is_that_of_the_dataset() -> None:
    order = EpochBatches(5, 2, shuffle=False)
    order.set_epoch(3)
    assert walked(order) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize("world_size", [1, 2])
def test_draws_are_full_batches_of_any_index(world_size: int) -> None:
    ranks = [
        EpochBatches(3, 8, draws=5, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    for order in ranks:
        assert len(order) == 5
        assert [len(batch) for batch in walked(order)] == [8] * 5
    assert {index for batch in walked(ranks[0]) for index in batch} == {0, 1, 2}
    assert world_size == 1 or walked(ranks[0]) != walked(ranks[1])


@pytest.fixture
def second_of_three() -> Iterator[None]:
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=1, world_size=3, store=FakeStore())
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("second_of_three")
def test_rank_and_world_size_come_from_the_process_group() -> None:
    order = EpochBatches(30, 2)
    assert (order.rank, order.world_size) == (1, 3)
    assert walked(order) == walked(EpochBatches(30, 2, rank=1, world_size=3))
    assert EpochBatches(30, 2, rank=0, world_size=1).rank == 0


@pytest.mark.parametrize(
    "options",
    [{"size": 0}, {"batch_size": 0}, {"drop_last": True, "size": 3}, {"draws": 0}],
    ids=str,
)
def test_an_order_of_nothing_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="make no batch of"):
        EpochBatches(**{"size": 10, "batch_size": 4, **options})
