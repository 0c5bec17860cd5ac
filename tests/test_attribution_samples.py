"""The monitored metric, sample by sample."""

import pytest
import torch
from torch import nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from kasmina.attribution.samples import sample_scores
from kasmina.tasks import Classification, LanguageModelling, Task

LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
TARGETS = torch.tensor([0, 1, 0, 0])


def test_accuracy_is_one_or_nothing() -> None:
    found = sample_scores(Classification(num_classes=3), LOGITS, TARGETS)
    assert found.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_where_less_is_better_the_sign_turns() -> None:
    task = Classification(num_classes=3, monitor="loss", mode="min")
    each = nn.functional.cross_entropy(LOGITS, TARGETS, reduction="none")
    assert torch.allclose(sample_scores(task, LOGITS, TARGETS).float(), -each)


@pytest.mark.parametrize("monitor", ["loss", "bpc"])
def test_a_window_of_tokens_is_a_sample(monitor: str) -> None:
    task = LanguageModelling(monitor=monitor, mode="min")
    logits, targets = torch.randn(4, 6, 5), torch.randint(5, (4, 6))
    score = task.score()
    score.update(logits, targets)
    found = sample_scores(task, logits, targets)
    assert found.shape == (4,)
    assert float(-found.mean()) == pytest.approx(float(score.compute()), rel=1e-5)


def test_any_metric_that_is_a_mean_over_samples_will_do() -> None:
    task = Task(
        loss=nn.functional.cross_entropy,
        metrics={"top2": MulticlassAccuracy(3, average="micro", top_k=2)},
        monitor="top2",
        mode="max",
    )
    wide = torch.stack([LOGITS, LOGITS], 2)  # not of two dimensions, so one by one
    found = sample_scores(task, wide, torch.stack([TARGETS, TARGETS], 1))
    assert len(found) == 4


def test_a_metric_that_is_no_mean_over_samples_is_refused() -> None:
    task = Task(
        loss=nn.functional.cross_entropy,
        metrics={"f1": MulticlassF1Score(3, average="macro")},
        monitor="f1",
        mode="max",
    )
    with pytest.raises(ValueError, match="f1 is no mean over samples"):
        sample_scores(task, LOGITS, TARGETS)
