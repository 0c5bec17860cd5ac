"""Shapley values: their laws hold exactly."""

import random
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import pytest
import torch
from grown import quiet, subject
from runs import VECTORS, run, timeline

from kasmina.attribution import ablation, read_subject, shapley
from kasmina.attribution.removal import remove
from kasmina.attribution.shapley import drawn_orders, sampled_values, shapley_values

SIZES = range(1, 7)


def game(number: int) -> list[Fraction]:
    draw = random.Random(number)
    return [Fraction(draw.randint(-50, 50), draw.randint(1, 9)) for _ in range(1 << number)]


@pytest.mark.parametrize("number", SIZES)
def test_the_values_sum_up_to_what_all_bring(number: int) -> None:
    value = game(number)
    assert sum(shapley_values(value, number)) == value[-1] - value[0]


@pytest.mark.parametrize("number", SIZES)
def test_a_value_is_the_mean_gain_over_all_orders(number: int) -> None:
    value, orders = game(number), list(permutations(range(number)))
    gains = [Fraction(0)] * number
    for order in orders:
        mask = 0
        for player in order:
            gains[player] += value[mask | 1 << player] - value[mask]
            mask |= 1 << player
    assert shapley_values(value, number) == [gain / len(orders) for gain in gains]


@pytest.mark.parametrize("number", SIZES)
def test_where_gains_add_up_each_has_its_own_and_who_brings_nothing_has_nothing(
    number: int,
) -> None:
    own = [Fraction(player, 3) for player in range(number)]
    value = [
        sum((own[i] for i in range(number) if mask >> i & 1), Fraction(7))
        for mask in range(1 << number)
    ]
    assert shapley_values(value, number) == own


def test_the_values_of_seeds_sum_up_sample_by_sample() -> None:
    network = subject()
    records = shapley(network, network.grown(), quiet)
    none = network.scores(dict.fromkeys(("layers.0", "layers.1"), 0.0))
    whole = float((network.scores() - none).mean())
    assert sum(record.value for record in records) == pytest.approx(whole, abs=1e-12)
    assert {(record.method, record.error) for record in records} == {("shapley", 0.0)}


def test_one_seed_alone_has_what_ablation_says() -> None:
    network = subject()
    remove(network.module, "layers.1")
    (value,) = shapley(network, network.grown(), quiet)
    (alone,) = ablation(network, network.grown(), quiet)
    assert (value.value, value.low, value.high) == (alone.value, alone.low, alone.high)


def test_drawn_orders_are_permutations_and_the_same_every_time() -> None:
    orders = drawn_orders(12, 9, seed=1)
    assert orders == drawn_orders(12, 9, seed=1) != drawn_orders(12, 9, seed=2)
    assert len(orders) == 10
    assert all(sorted(order) == list(range(12)) for order in orders)


def test_estimates_keep_the_sum_and_come_near_within_their_error() -> None:
    number = 5
    value = {
        m: torch.tensor([float(v)] * 2, dtype=torch.float64) for m, v in enumerate(game(number))
    }
    found, errors = sampled_values(value, drawn_orders(number, 400, seed=0))
    assert float(sum(each.mean() for each in found)) == pytest.approx(
        float(value[31][0] - value[0][0])
    )
    exact = map(float, shapley_values(game(number), number))
    for estimate, error, right in zip(found, errors, exact, strict=True):
        assert error > 0
        assert abs(float(estimate.mean()) - right) < 4 * error


def test_all_orders_give_the_exact_values() -> None:
    number = 3
    value = {m: torch.tensor([float(v)], dtype=torch.float64) for m, v in enumerate(game(number))}
    found, _ = sampled_values(value, list(permutations(range(number))))
    assert [float(each) for each in found] == pytest.approx(
        [float(v) for v in shapley_values(game(number), number)]
    )


def test_one_permutation_tells_no_error() -> None:
    with pytest.raises(ValueError, match="at least 2 permutations, not 1"):
        shapley(subject(), subject().grown(), quiet, permutations=1)


def test_above_ten_seeds_the_values_are_estimates_with_an_error(tmp_path: Path) -> None:
    sites = [f"layers.{number}" for number in range(11)]
    moves = ((1, "germinate mlp"), (1, "train"), (2, "blend"))
    lives = timeline(*(f"{at} {site} {event}" for site in sites for at, event in moves))
    judged = ("task.monitor=loss", "task.mode=min")
    wide = (*VECTORS, *judged, f"host.widths={[8] * 11}".replace(" ", ""), *lives)
    options = ("ramp.ticks=1", "trainer.max_epochs=3", "optimizer.lr=0.03", "test=false")
    network = read_subject(run(tmp_path, *wide, *options))
    records = shapley(network, network.grown(), quiet, permutations=6)
    whole = network.scores() - network.scores(dict.fromkeys(sites, 0.0))
    assert [record.site for record in records] == sites
    assert sum(each.value for each in records) == pytest.approx(float(whole.mean()), abs=1e-9)
    assert any(record.error > 0 for record in records)
    assert shapley(network, network.grown(), quiet, permutations=6) == records
