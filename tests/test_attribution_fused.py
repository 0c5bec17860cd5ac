"""One forward for many configurations says what single forwards say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from grown import subject
from runs import IMAGES, TOKENS, run, timeline

from kasmina.attribution import Subject, fused, read_subject
from kasmina.attribution.fused import Way

ALL = list(range(4))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Slots beside which a residual stream goes on."""
    sites = ("blocks.0.attention", "blocks.1.mlp")
    return _grown(tmp_path_factory.mktemp("tokens"), sites, "lora", *TOKENS)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    sites = ("stages.0", "stages.1")
    return _grown(tmp_path_factory.mktemp("images"), sites, "conv_light", *IMAGES)


def _grown(folder: Path, sites: tuple[str, str], blueprint: str, *overrides: str) -> Subject:
    lives = [
        f"{at} {site} {event}"
        for site in sites
        for at, event in ((1, f"germinate {blueprint}"), (1, "train"), (2, "blend"))
    ]
    options = (*overrides, *timeline(*lives), f"blueprint=[{blueprint}]", "ramp.ticks=1")
    where = f"slots.sites=[{','.join(sites)}]"
    quick = ("trainer.max_epochs=4", "optimizer.lr=0.03", "test=false")
    return read_subject(run(folder, *options, where, *quick))


@pytest.mark.parametrize("way", [fused.tree, fused.rows], ids=["tree", "rows"])
@pytest.mark.parametrize("kind", ["vectors", "images"])
def test_both_ways_score_what_single_forwards_score(way: Way, kind: str, images: Subject) -> None:
    network = subject() if kind == "vectors" else images
    wanted = fused.one_by_one(network, network.grown(), ALL)
    assert wanted.shape == (4, 32)
    assert len({tuple(row.tolist()) for row in wanted}) > 1
    assert torch.equal(way(network, network.grown(), ALL), wanted)


def test_configurations_may_be_few_and_in_any_order() -> None:
    network = subject()
    wanted = fused.one_by_one(network, network.grown(), [2, 0])
    for way in (fused.tree, fused.rows):
        assert torch.equal(way(network, network.grown(), [2, 0]), wanted)


def test_the_slots_may_be_named_in_another_order_than_they_are_passed() -> None:
    network = subject()
    slots = network.grown()[::-1]
    assert torch.equal(fused.tree(network, slots, ALL), fused.one_by_one(network, slots, ALL))


def test_where_all_passes_the_slots_the_tree_is_taken() -> None:
    network = subject()
    assert fused.best_way(network, network.grown()) is fused.tree


def test_where_a_residual_passes_beside_them_rows_are(tokens: Subject) -> None:
    slots = tokens.grown()
    assert len(slots) == 2
    assert fused.best_way(tokens, slots) is fused.rows
    ways: list[Callable[..., torch.Tensor]] = [fused.rows, fused.one_by_one]
    found, wanted = (way(tokens, slots, ALL) for way in ways)
    assert torch.allclose(found, wanted, rtol=1e-5)


def test_nothing_is_left_behind() -> None:
    network = subject()
    before = network.scores()
    fused.tree(network, network.grown(), ALL)
    fused.rows(network, network.grown(), ALL)
    assert torch.equal(network.scores(), before)
