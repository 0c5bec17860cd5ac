"""Which seeds can go."""

from pathlib import Path

import pytest
import torch
from grown import SITES, grown_run, quiet, silenced, subject

from kasmina import checkpoints
from kasmina.attribution import pruned_checkpoint, triage
from kasmina.attribution.pruning import effects
from kasmina.evaluate import evaluate
from kasmina.graft import call


def loss_at(site: str, alpha: float) -> float:
    """Over all training samples, of which the effects see the same number."""
    network = subject()
    network.data.setup("fit")
    inputs, targets = network.data.dataset("train")[torch.arange(64)]
    with torch.no_grad():
        model = network.module.double().model.eval()
        outputs = call(model, inputs.double(), alphas={site: alpha})
        return float(network.module.task.loss(outputs, targets))


@pytest.mark.parametrize("site", SITES)
def test_an_effect_is_the_slope_of_the_loss(site: str) -> None:
    step = 1e-4
    slope = (loss_at(site, 1 + step) - loss_at(site, 1 - step)) / (2 * step)
    assert effects(subject())[site] == pytest.approx(abs(slope), rel=1e-3)


def test_effects_change_nothing() -> None:
    network = subject()
    before = network.scores()
    effects(network)
    assert torch.equal(network.scores(), before)
    assert [slot.route for slot in network.grown()] == ["seed", "seed"]
    assert not any(slot.alpha.requires_grad for slot in network.grown())


def test_the_least_effective_is_tried_first_and_a_silent_one_has_none() -> None:
    network = silenced(subject(), "layers.1")
    _, verdicts = triage(network, quiet, steps=2, margin=1.5)
    assert [verdict.site for verdict in verdicts] == ["layers.1", "layers.0"]
    assert verdicts[0].effect == 0.0 < verdicts[1].effect


def test_a_margin_beyond_every_loss_lets_all_go_and_none_lets_none() -> None:
    network = subject()
    pruned, verdicts = triage(network, quiet, steps=2, margin=1.5)
    assert [verdict.removable for verdict in verdicts] == [True, True]
    assert all(slot.seed is None for slot in pruned.model)
    assert all(slot.seed is not None for slot in network.module.model)
    kept, verdicts = triage(network, quiet, steps=1, margin=1e-9)
    assert [verdict.removable for verdict in verdicts] == [False, False]
    assert kept is network.module


def test_what_is_removable_is_not_inferior_by_the_margin() -> None:
    network = subject()
    for verdict in triage(network, quiet, steps=3, margin=0.1)[1]:
        assert verdict.removable == (verdict.record.high < 0.1)


def test_a_pruned_checkpoint_is_evaluated_as_any_other(tmp_path: Path) -> None:
    network = subject()
    pruned, _ = triage(network, quiet, steps=2, margin=1.5, site="layers.0")
    saved = checkpoints.read(grown_run() / "checkpoints" / "last.ckpt")
    path = tmp_path / "pruned.ckpt"
    checkpoints.write(path, pruned_checkpoint(saved, pruned))
    expected = float(network.like(pruned).scores().mean())
    assert evaluate(path)["val/accuracy"] == pytest.approx(expected, abs=1e-6)
    assert not any("layers/0" in name for name in checkpoints.read(path)["state_dict"])


def test_pruning_sees_no_test_data_and_asks_for_a_margin() -> None:
    with pytest.raises(ValueError, match="validation data alone"):
        triage(subject("test"), quiet)
    with pytest.raises(ValueError, match="a margin is more than 0"):
        triage(subject(), quiet, margin=0.0)
