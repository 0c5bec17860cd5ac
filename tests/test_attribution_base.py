"""A network under examination, and the method that trains nothing."""

from pathlib import Path

import pytest
import torch
from grown import SITES, grown_run, quiet, silenced, subject
from runs import VECTORS, run

from kasmina.attribution import ablation, read_subject
from kasmina.attribution.base import compare
from kasmina.attribution.removal import remove
from kasmina.evaluate import evaluate


def test_the_mean_score_is_the_metric_that_eval_shows() -> None:
    shown = evaluate(grown_run() / "checkpoints" / "last.ckpt")["val/accuracy"]
    assert float(subject().scores().mean()) == pytest.approx(shown, abs=1e-6)


@pytest.mark.parametrize("site", SITES)
def test_alpha_0_is_the_network_without_the_seed(site: str) -> None:
    network = subject()
    copy = network.copy()
    remove(copy, site)
    assert torch.equal(network.scores({site: 0.0}), network.like(copy).scores())


def test_ablation_is_the_metric_with_the_seed_minus_the_metric_without_it() -> None:
    network = subject()
    whole = network.scores()
    for record, site in zip(ablation(network, network.grown(), quiet), SITES, strict=True):
        assert (record.site, record.blueprint, record.method) == (site, "mlp", "ablation")
        assert record.value == float((whole - network.scores({site: 0.0})).mean())
        assert record.low <= record.value <= record.high
        assert (record.metric, record.samples) == ("val/accuracy", 32)
        assert record.flops == 2 * 32 * network.price.evaluation > 0


def test_a_seed_at_alpha_0_brings_exactly_nothing() -> None:
    network = silenced(subject(), "layers.1")
    (record,) = ablation(network, network.chosen("layers.1"), quiet)
    assert (record.value, record.low, record.high) == (0.0, 0.0, 0.0)


def test_the_interval_is_the_same_every_time_and_narrows_with_samples() -> None:
    network, few = subject(), torch.tensor([1.0, 0.0, 0.0, -1.0, 1.0] * 4)
    first, again, more = (
        compare(network, network.chosen("layers.0"), differences, method="m", flops=0.0)
        for differences in (few, few, few.repeat(20))
    )
    assert first == again
    assert more.high - more.low < first.high - first.low


def test_the_test_split_is_loaded_where_it_is_asked_for_and_nowhere_else() -> None:
    network = subject()
    ablation(network, network.grown(), quiet)
    with pytest.raises(LookupError):
        network.data.dataset("test")
    asked = subject("test")
    (first, _) = ablation(asked, asked.grown(), quiet)
    assert first.metric == "test/accuracy"


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="unknown split 'train'"):
        subject("train")
    with pytest.raises(ValueError, match=r"'layers.3'; did you mean 'layers"):
        subject().chosen("layers.3")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        read_subject(Path("nowhere"))


def test_a_network_in_which_nothing_has_grown_has_nothing_to_attribute(tmp_path: Path) -> None:
    bare = run(tmp_path, *VECTORS, "controller=none", "trainer.max_epochs=1", "test=false")
    with pytest.raises(ValueError, match="nothing to attribute"):
        read_subject(bare).chosen(None)
