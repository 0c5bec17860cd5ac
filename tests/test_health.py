"""What counts as trouble, and what does not."""

import math
from typing import Any

import pytest

from kasmina.control.health import Health, Trouble

NOISE = [1.0 + 0.01 * (step * 7 % 11) for step in range(1, 31)]


def calm(**options: Any) -> Health:
    """After thirty steps and ten validations of a loss near 1; the metric has reached 0.9."""
    health = Health(**options)
    for step, loss in enumerate(NOISE, start=1):
        assert health.step(step, loss) is None
    for at in range(10):
        assert health.validation(3 * at + 3, loss=1.0, score=0.9, chance=0.1) is None
    return health


def steps(health: Health, *losses: float) -> list[Trouble | None]:
    return [health.step(at, loss) for at, loss in enumerate(losses, start=31)]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_trouble_at_once(loss: float) -> None:
    (trouble,) = steps(calm(), loss)
    assert trouble == Trouble(f"train/loss is {loss}", trouble.numbers, sound=29)
    at_validation = calm().validation(33, loss=loss, score=0.9, chance=None)
    assert at_validation is not None
    assert at_validation.sound == 30  # the last validation that was sound


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_as_many_spikes_in_a_row_as_there_is_patience_are_trouble(patience: int) -> None:
    *before, trouble = steps(calm(patience=patience), *[9.0] * patience)
    assert before == [None] * (patience - 1)
    assert trouble is not None
    # step 31 was the first to show it, so the network after step 30 is not known to be sound
    assert trouble.sound == 29
    assert trouble.reason == f"train/loss 9 is above 2.1, {patience} in a row"


def test_a_spike_that_goes_away_is_none_and_does_not_move_the_scale() -> None:
    health = calm(patience=3)
    limit = health.train.limit()
    assert steps(health, *[1e6, 1e9, 1.0] * 20) == [None] * 60
    assert health.train.limit() == pytest.approx(limit, abs=0.2)


def test_while_something_is_suspicious_no_validation_calls_the_network_sound() -> None:
    health = calm(patience=3)
    assert not health.suspicious
    steps(health, 9.0)
    assert health.suspicious
    assert health.validation(31, loss=1.0, score=0.9, chance=None) is None
    assert health.sound == 30


def test_a_loss_that_falls_rises_slowly_or_is_young_is_no_trouble() -> None:
    health = Health(patience=1)
    falls = [2.3 * 0.98**step for step in range(300)]
    rises = [falls[-1] * 1.01**step for step in range(300)]
    assert all(health.step(at, loss) is None for at, loss in enumerate(falls + rises, start=1))
    young = Health(patience=1)
    assert all(young.step(at, 1.0 + 100 * (at % 2)) is None for at in range(1, 20))


def test_a_loss_near_zero_may_rise_to_a_tenth_of_the_first_one() -> None:
    health = Health()
    falling = [2.0] * 20 + [0.003 + 0.0001 * (step % 7) for step in range(120)]
    rising = [0.18] * 30
    for step, loss in enumerate(falling + rising, start=1):
        assert health.step(step, loss) is None
    for step, loss in enumerate([0.21] * 9, start=171):
        assert health.step(step, loss) is None
    trouble = health.step(180, 0.21)
    assert trouble is not None
    assert trouble.numbers["limit"] == 0.2


def test_a_loss_that_does_not_move_has_a_scale_all_the_same() -> None:
    health = Health(patience=1)
    assert all(health.step(at, 1.0) is None for at in range(1, 40))
    assert health.step(40, 1.9) is None
    assert health.step(41, 2.1) is not None


@pytest.mark.parametrize("needed", [1, 3])
def test_a_metric_that_stays_at_chance_after_it_was_above_is_trouble(needed: int) -> None:
    health = calm(validations=needed)
    seen = [health.validation(40 + n, loss=1.0, score=0.13, chance=0.1) for n in range(needed)]
    assert seen[:-1] == [None] * (needed - 1)
    assert seen[-1] is not None
    assert (seen[-1].sound, seen[-1].numbers["best"]) == (30, 0.9)


@pytest.mark.parametrize(
    "scores",
    [[0.1] * 9, [0.14, 0.1] * 5, [0.9, 0.1, 0.1] * 4, [0.9, 0.5, 0.3, 0.2]],
    ids=["never above", "hardly above", "comes back", "falls, not to chance"],
)
def test_a_metric_at_chance_is_no_trouble_without_a_fall_that_stays(scores: list[float]) -> None:
    health = Health(validations=3)
    assert all(
        health.validation(at, loss=1.0, score=score, chance=0.1) is None
        for at, score in enumerate(scores)
    )


def test_chance_of_a_loss_is_below_it_with_the_sign_turned() -> None:
    health = Health(validations=1)
    chance = -math.log(10)
    assert health.validation(1, loss=0.2, score=-0.2, chance=chance) is None
    assert health.validation(2, loss=1.9, score=-1.9, chance=chance) is None
    assert health.validation(3, loss=2.3, score=-2.3, chance=chance) is not None


def test_a_validation_loss_above_the_most_is_trouble() -> None:
    assert calm(max_loss=1.5).validation(33, loss=1.6, score=0.9, chance=None) is not None


@pytest.mark.parametrize("at", range(6))
def test_a_copy_goes_on_as_the_original(at: int) -> None:
    losses = [1.0, 9.0, 9.0, 1.0, 9.0, math.nan]
    one, copy = calm(patience=3), Health(patience=3)
    first = steps(one, *losses[:at])
    copy.load_state_dict(one.state_dict())
    assert [one.step(40 + n, x) for n, x in enumerate(losses[at:])] == [
        copy.step(40 + n, x) for n, x in enumerate(losses[at:])
    ]
    assert first == [None] * at
    assert one.state_dict() == copy.state_dict()


def test_a_network_that_is_another_one_has_no_scale_yet() -> None:
    health = calm(patience=1)
    health.forget()
    assert steps(health, 50.0) == [None]


@pytest.mark.parametrize(
    "wrong", [{"window": 1}, {"spike": 0}, {"patience": 0}, {"validations": 0}]
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="window is at least 2 steps"):
        Health(**wrong)
