"""What a paired test says, and that a run's looks together err as seldom as is promised."""

import math
from functools import cache
from itertools import product

import numpy as np
import pytest

from kasmina.control.evidence import Evidence, interval, mid_p, paired_counts, spend
from kasmina.control.gates import proven

RUNS, SEEDS, LOOKS, ALPHA = 3000, 6, 3, 0.05
ERROR = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
"""Three standard errors of a share of that many runs."""
SITUATIONS = [
    pytest.param(n, discordant, fresh, id=f"{n} samples, {discordant} discordant, fresh={fresh}")
    for n, discordant, fresh in product([300, 1000], [0.01, 0.05, 0.2], [False, True])
]


@pytest.mark.parametrize("m", range(11))
def test_mid_p_is_the_share_of_all_outcomes_those_at_the_value_by_half(m: int) -> None:
    heads = [sum(flips) for flips in product((0, 1), repeat=m)]
    for gained in range(m + 1):
        above = sum(each > gained for each in heads) + sum(each == gained for each in heads) / 2
        assert mid_p(gained, m - gained) == above / 2**m


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (7, 7), (3, 12), (900, 1100)])
def test_mid_p_of_one_side_and_of_the_other_add_up_to_one(gained: int, lost: int) -> None:
    assert mid_p(gained, lost) + mid_p(lost, gained) == pytest.approx(1, abs=1e-15)


def test_the_published_example_of_the_test_is_met() -> None:
    """Fagerland et al. 2013, table 1: 1 and 7 discordant pairs, two-sided mid-p 0.0391."""
    assert 2 * mid_p(7, 1) == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [300, 1000])
@pytest.mark.parametrize(("p_gained", "p_lost"), [(0.05, 0.05), (0.08, 0.03), (0.2, 0.1)])
def test_the_interval_covers_as_often_as_it_says(
    n: int, p_gained: float, p_lost: float, confidence: float
) -> None:
    drawn = np.random.default_rng(0).multinomial(
        n, [p_gained, p_lost, 1 - p_gained - p_lost], size=2000
    )
    pairs, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
    ends = [interval(int(b), int(c), n, confidence=confidence) for b, c in pairs]
    covered = [low <= p_gained - p_lost <= high for low, high in ends]
    assert (counts * covered).sum() / 2000 == pytest.approx(confidence, abs=0.025)


@pytest.mark.parametrize("looks", [1, 3, 20])
def test_all_looks_at_all_seeds_together_spend_no_more_than_alpha(looks: int) -> None:
    first = [spend(ALPHA, seed=seed, looks=looks) * looks for seed in range(1, 2001)]
    assert first[0] == pytest.approx(ALPHA / 2)
    assert ALPHA * (1 - 1 / 2000) <= math.fsum(first) < ALPHA


@cache
def passes(gained: int, lost: int, n: int, seed: int, worthwhile: float) -> bool:
    """What the gate says; only refusals depend on the look."""
    outcome = paired_counts(gained, lost, n, confidence=0.9)
    seen = Evidence(**vars(outcome), split="gate", seed=seed, look=1)
    return proven(seen, alpha=ALPHA, looks=LOOKS, worthwhile=worthwhile).passed is True


def share_of_runs_that_accept(
    n: int, gains: float, loses: float, *, fresh: bool, worthwhile: float, seeds: int = SEEDS
) -> tuple[float, float]:
    """With the gate, and where a difference above 0.5 points is enough."""
    shape = (RUNS, seeds, LOOKS if fresh else 1)
    rest = 1 - gains - loses
    drawn = np.random.default_rng(1).multinomial(n, [gains, loses, rest], size=shape)[..., :2]
    accepted = np.zeros(RUNS, dtype=bool)
    for seed in range(seeds):
        pairs, where = np.unique(drawn[:, seed].reshape(-1, 2), axis=0, return_inverse=True)
        said = [passes(int(b), int(c), n, seed + 1, worthwhile) for b, c in pairs]
        accepted |= np.array(said)[where.reshape(RUNS, -1)].any(1)
    raw = (drawn[..., 0] - drawn[..., 1] > 0.005 * n).any((1, 2))
    return float(accepted.mean()), float(raw.mean())


@pytest.mark.parametrize(("n", "discordant", "fresh"), SITUATIONS)
def test_a_whole_run_of_useless_seeds_accepts_one_in_twenty_times_at_most(
    n: int, discordant: float, fresh: bool
) -> None:
    half = discordant / 2
    accepts, raw = share_of_runs_that_accept(n, half, half, fresh=fresh, worthwhile=0.0)
    assert accepts <= ALPHA + ERROR
    if discordant > 0.01:
        assert raw > 0.3  # the gate that the test replaces


@pytest.mark.parametrize(("fresh", "least"), [(False, 0.7), (True, 0.9)])
def test_a_seed_that_is_worth_three_points_is_mostly_kept(fresh: bool, least: float) -> None:
    accepts, _ = share_of_runs_that_accept(500, 0.04, 0.01, fresh=fresh, worthwhile=0.005, seeds=1)
    assert accepts > least
