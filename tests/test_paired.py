"""Scores a sample, and the test of paired differences."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassF1Score

from kasmina.callbacks.paired import (
    bootstrap,
    compare,
    paired_differences,
    sample_scores,
    sign_flip_p,
)
from kasmina.control.evidence import paired_counts
from kasmina.tasks import Classification, LanguageModelling, Task

TASKS = {
    "accuracy": Classification(num_classes=5),
    "loss": Classification(num_classes=5, monitor="loss", mode="min"),
    "token loss": LanguageModelling(),
    "bits": LanguageModelling(monitor="bpc"),
}
WIDE = {"confidence": 0.9, "resamples": 400, "seed": 0}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_mean_of_the_samples_scores_is_the_metric_of_the_split(task: Task) -> None:
    shape = (12,) if isinstance(task, Classification) else (12, 7)
    outputs, targets = torch.randn(*shape, 5), torch.randint(5, shape)
    metric = task.score()
    metric.update(outputs, targets)
    score, binary = sample_scores(task)
    each = score(outputs, targets)
    assert each.shape == (12,)
    assert binary == (task.monitor == "accuracy")
    torch.testing.assert_close(task.sign * each.mean(), metric.compute())


def test_a_metric_that_is_no_mean_over_samples_is_refused() -> None:
    f1 = MulticlassF1Score(3)
    task = Task(loss=torch.nn.CrossEntropyLoss(), metrics={"f1": f1}, monitor="f1", mode="max")
    with pytest.raises(
        ValueError, match="'f1' cannot be compared sample by sample; possible: loss"
    ):
        sample_scores(task)


def test_answers_that_are_right_or_wrong_are_counted() -> None:
    ours, theirs = torch.tensor([1.0, 1, 0, 0, 1]), torch.tensor([0.0, 1, 1, 0, 0])
    found = compare(ours, theirs, binary=True, **WIDE)
    assert found == paired_counts(2, 1, 5, confidence=0.9)


def test_p_is_the_share_of_all_signs() -> None:
    each = torch.tensor([0.4, -0.1, 0.3, 0.9, -0.2, 0.5, 0.25, 0.1])
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=8)))
    exact = float((signs @ each >= each.sum() - 1e-6).float().mean())
    found = paired_differences(each, confidence=0.9, resamples=20_000, seed=0)
    assert found.p == pytest.approx(exact, abs=4 * (exact / 20_000) ** 0.5)
    assert found.effect == pytest.approx(float(each.mean()))
    assert found.low < found.effect < found.high


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_differences_that_are_all_the_same_have_the_p_that_they_must(value: float) -> None:
    found = paired_differences(torch.full((300,), value), **WIDE)
    assert found.p == (1.0 if value == 0 else 1 / 401)
    assert found.low == found.high == value


def test_the_same_seed_gives_the_same_numbers_and_the_global_generator_stays() -> None:
    each, before = torch.randn(50), torch.get_rng_state()
    assert paired_differences(each, **WIDE) == paired_differences(each, **WIDE)
    assert torch.equal(torch.get_rng_state(), before)


def skewed(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator).log().neg() - 1  # exponential, mean 0


@pytest.mark.parametrize("side", [-1, 1])
def test_losses_without_a_difference_pass_as_seldom_as_they_may(side: int) -> None:
    generator, tried = torch.Generator().manual_seed(0), 1000
    data = side * skewed((tried, 300), generator)
    share = sum(sign_flip_p(row, 200, generator) <= 0.05 for row in data) / tried
    assert share == pytest.approx(0.05, abs=0.02)


def test_the_interval_of_a_mean_covers_as_often_as_it_says() -> None:
    generator, tried = torch.Generator().manual_seed(0), 200
    ends = [bootstrap(row, 0.9, generator) for row in skewed((tried, 100), generator)]
    assert sum(low <= 0 <= high for low, high in ends) / tried == pytest.approx(0.9, abs=0.065)
