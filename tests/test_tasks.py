"""A loss, metrics, and the one metric that decisions watch."""

import math
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.regression import MeanSquaredError

from kasmina.recipe import build
from kasmina.tasks import (
    Classification,
    LanguageModelling,
    MeanLoss,
    Task,
    predictions,
    token_loss,
)


class Answer(NamedTuple):
    """What a host may return: the predictions are not its first item."""

    loss: Tensor
    logits: Tensor


OWN = {
    "_target_": "kasmina.tasks.Task",
    "loss": {"_target_": "torch.nn.SmoothL1Loss"},
    "metrics": {"mse": {"_target_": "torchmetrics.regression.MeanSquaredError"}},
    "monitor": "mse",
    "mode": "min",
}


def test_a_loss_and_a_metric_of_ones_own_come_from_a_config() -> None:
    task = build(OWN)
    outputs, targets = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert task.loss(outputs, targets) == nn.functional.smooth_l1_loss(outputs, targets)
    metrics = task.metrics("val/")
    metrics.update(outputs, targets)
    assert {k: v.item() for k, v in metrics.compute().items()} == {"val/loss": 0.75, "val/mse": 2}
    assert isinstance(task.score(), MeanSquaredError)
    assert task.sign == -1


def test_targets_are_smoothed_in_training_and_not_in_what_is_reported() -> None:
    task = Classification(num_classes=3, label_smoothing=0.3)
    outputs, targets = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]]), torch.tensor([0, 2])
    smoothed = nn.functional.cross_entropy(outputs, targets, label_smoothing=0.3)
    assert task.loss(outputs, targets) == smoothed
    metrics = task.metrics("val/")
    metrics.update(outputs, targets)
    plain = nn.functional.cross_entropy(outputs, targets)
    assert plain != smoothed
    assert metrics.compute()["val/loss"] == plain
    score = Classification(num_classes=3, label_smoothing=0.3, monitor="loss", mode="min").score()
    score.update(outputs, targets)
    assert score.compute() == plain


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"monitor": "msee"}, "unknown metric to monitor 'msee'; did you mean 'mse'"),
        ({"mode": "maximum"}, "unknown mode 'maximum'; did you mean"),
    ],
)
def test_a_wrong_choice_is_named_with_the_possible_ones(
    wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build({**OWN, **wrong})


@pytest.mark.parametrize("task", [Classification(num_classes=3), LanguageModelling()])
def test_the_sign_makes_more_better(task: Task) -> None:
    assert task.sign == (1 if task.mode == "max" else -1)


def test_the_loss_can_be_watched_too() -> None:
    task = Classification(num_classes=3, monitor="loss", mode="min")
    assert isinstance(task.score(), MeanLoss)


@pytest.mark.parametrize(
    ("task", "chance"),
    [
        (Classification(num_classes=4), 0.25),
        (Classification(num_classes=4, monitor="loss", mode="min"), math.log(4)),
        (LanguageModelling(), None),
        (LanguageModelling(chance=2.0), 2.0),
    ],
)
def test_a_task_knows_what_a_network_scores_that_knows_nothing(
    task: Task, chance: float | None
) -> None:
    assert task.chance == chance
    if isinstance(task, Classification) and task.monitor == "loss":
        guess = task.loss(torch.zeros(6, 4), torch.arange(6) % 4)
        assert float(guess) == pytest.approx(chance)


def test_the_loss_of_an_epoch_is_the_mean_over_samples_not_over_batches() -> None:
    outputs, targets = torch.randn(7, 3), torch.randint(3, (7,))
    loss = nn.CrossEntropyLoss()
    mean = MeanLoss(loss)
    for part in (slice(0, 4), slice(4, 6), slice(6, 7)):
        mean.update(outputs[part], targets[part])
    torch.testing.assert_close(mean.compute(), loss(outputs, targets))


def test_a_loss_that_is_not_finite_shows() -> None:
    mean = MeanLoss(nn.MSELoss())
    mean.update(torch.tensor([math.nan]), torch.tensor([0.0]))
    mean.update(torch.tensor([0.0]), torch.tensor([0.0]))
    assert mean.compute().isnan()


def test_bits_per_character_are_nats_over_ln_2() -> None:
    logits, targets = torch.randn(2, 5, 7), torch.randint(7, (2, 5))
    metrics = LanguageModelling().metrics("val/")
    metrics.update(logits, targets)
    values = metrics.compute()
    assert values["val/loss"] == token_loss(logits, targets)
    torch.testing.assert_close(values["val/bpc"], values["val/loss"] / math.log(2))


def test_the_token_loss_is_the_mean_over_all_tokens() -> None:
    logits, targets = torch.randn(2, 5, 7), torch.randint(7, (2, 5))
    chosen = logits.log_softmax(-1).gather(-1, targets[..., None])
    torch.testing.assert_close(token_loss(logits, targets), -chosen.mean())


def test_the_metrics_of_two_splits_do_not_share_counts() -> None:
    task = Classification(num_classes=2)
    val, test, score = task.metrics("val/"), task.metrics("test/"), task.score()
    val.update(torch.eye(2), torch.tensor([0, 1]))
    test.update(torch.eye(2), torch.tensor([1, 0]))
    score.update(torch.eye(2), torch.tensor([0, 0]))
    assert val.compute()["val/accuracy"] == 1
    assert test.compute()["test/accuracy"] == 0
    assert score.compute() == 0.5


def test_predictions_are_found_in_whatever_a_host_returns() -> None:
    logits = torch.randn(2, 3)
    for outputs in (
        logits,
        (logits, None),
        [logits],
        SimpleNamespace(logits=logits),
        {"logits": logits},
        Answer(logits.sum(), logits),
    ):
        assert predictions(outputs) is logits


@pytest.mark.parametrize("outputs", [None, (), {"hidden": torch.zeros(1)}, ("text",)])
def test_outputs_without_predictions_are_named(outputs: object) -> None:
    with pytest.raises(
        ValueError, match=f"no predictions in what the host returned, a {type(outputs).__name__}"
    ):
        predictions(outputs)
