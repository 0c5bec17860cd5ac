"""Static networks at the compute of a grown one."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from runs import VECTORS, events, rows

from kasmina.baseline import StaticLarge, StaticSmall, at_equal_compute, network
from kasmina.hydra_api import compose
from kasmina.train import train

QUIET = ("callbacks.progress=null", "report=false", "test=false")
GROWN = (
    *VECTORS,
    "trainer.max_epochs=8",
    "controller=schedule",
    "controller.timeline=[{at: 1, site: layers.0, do: germinate, blueprint: mlp},"
    "{at: 1, site: layers.0, do: train},{at: 3, site: layers.0, do: blend}]",
    "ramp.ticks=1",
)


def make(folder: Path, *overrides: str) -> Path:
    config = compose([*overrides, *QUIET])
    config.paths.run_dir = str(folder)
    train(config)
    return folder


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("grown") / "run", *GROWN)


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("kind", "compute"), [("static_large", 1), ("static_small", 1), ("static_large", 4 / 3)]
)
def test_a_baseline_spends_its_multiple_of_what_the_grown_run_was_charged_but_for_part_of_an_epoch(
    grown, kind, compute, tmp_path
):
    charged = summary(grown)["flops"]
    chosen = (f"baseline={kind}", f"baseline.run={grown}", f"baseline.compute={compute}")
    limit = f"callbacks.budget.flops={charged}"
    folder = make(tmp_path / kind, *VECTORS, *chosen, limit)
    spent, budget = summary(folder)["flops"], compute * charged
    steps = summary(folder)["steps"]
    assert spent <= budget
    assert budget - spent < 1.5 * spent / steps + _last_validation(folder)


def _last_validation(folder: Path) -> float:
    return float(rows(folder)[0]["evaluation_flops"])


def test_the_last_steps_of_a_baseline_are_validated(grown, tmp_path):
    folder = make(tmp_path / "small", *VECTORS, "baseline=static_small", f"baseline.run={grown}")
    assert int(rows(folder)[-1]["step"]) == summary(folder)["steps"]


def test_static_large_is_the_network_that_growth_ended_with(grown, tmp_path):
    folder = make(tmp_path / "large", *VECTORS, "baseline=static_large", f"baseline.run={grown}")
    assert summary(folder)["fossils"] == summary(grown)["fossils"] == {"layers.0": "mlp"}
    assert summary(folder)["parameters"] == summary(grown)["parameters"]
    assert not events(folder)


def test_static_small_is_the_host(grown, tmp_path):
    folder = make(tmp_path / "small", *VECTORS, "baseline=static_small", f"baseline.run={grown}")
    assert summary(folder)["parameters"]["grown"] == 0
    assert not events(folder)


def test_without_a_baseline_a_config_stays_as_it_is():
    config = compose([*VECTORS])
    assert at_equal_compute(config) is config


def test_the_config_itself_is_left_alone(grown):
    config = compose([*VECTORS, "baseline=static_large", f"baseline.run={grown}"])
    before = OmegaConf.to_container(config)
    network(config)
    assert OmegaConf.to_container(config) == before


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("{", "cannot be read"), ('{"status": "failed"}', "'failed'")],
)
@pytest.mark.parametrize("kind", [StaticLarge, StaticSmall])
def test_a_folder_without_a_finished_run_is_refused(kind, content, said, tmp_path):
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(ValueError, match=said):
        kind(run=str(tmp_path))


@pytest.mark.parametrize("compute", [0, -1, "nan", "inf"])
def test_a_multiple_that_pays_for_nothing_or_never_ends_is_refused(grown, compute):
    chosen = ("baseline=static_large", f"baseline.run={grown}", f"baseline.compute={compute}")
    with pytest.raises(ValueError, match="compute is a finite number above 0"):
        network(compose([*VECTORS, *chosen]))


@pytest.mark.parametrize("part", ["2", "1", "0.5"])
def test_parts_of_an_epoch_are_refused(grown, part):
    some = ("baseline=static_small", f"baseline.run={grown}", f"trainer.limit_train_batches={part}")
    with pytest.raises(ValueError, match=r"trainer\.limit_train_batches"):
        network(compose([*VECTORS, *some]))


def test_all_of_an_epoch_is_no_part_of_it(grown):
    every = ("baseline=static_small", f"baseline.run={grown}", "trainer.limit_train_batches=1.0")
    assert network(compose([*VECTORS, *every])).slots.planted is None


def test_flops_that_pay_for_no_step_are_refused(grown, tmp_path):
    poor = tmp_path / "poor"
    poor.mkdir()
    (poor / "summary.json").write_text(json.dumps({**summary(grown), "flops": 1.0}))
    config = compose([*VECTORS, "baseline=static_large", f"baseline.run={poor}"])
    with pytest.raises(ValueError, match="do not pay for one step"):
        at_equal_compute(config)
