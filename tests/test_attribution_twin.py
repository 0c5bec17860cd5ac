"""The same run without seeds, or without one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grown import SITES, grown_run, subject
from omegaconf import OmegaConf
from runs import rows

from kasmina.attribution import read_subject, twin, twin_config
from kasmina.attribution.removal import remove
from kasmina.train import train

COMMON = ("train/loss", "val/loss", "val/accuracy", "parameters")


@pytest.fixture(scope="module")
def twin_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twin")
    train(OmegaConf.create(twin_config(subject().config, folder)))
    return folder


def test_until_a_seed_speaks_run_and_twin_are_one(twin_run: Path) -> None:
    ours, others = rows(grown_run()), rows(twin_run)
    assert len(ours) == len(others) == 6
    assert [ours[0][key] for key in COMMON] == [others[0][key] for key in COMMON]
    assert [row["val/loss"] for row in ours[:2]] == [row["val/loss"] for row in others[:2]]
    assert ours[-1]["val/loss"] != others[-1]["val/loss"]


def test_the_difference_is_paired_and_of_all_seeds(twin_run: Path) -> None:
    network, other = subject(), read_subject(twin_run)
    (record,) = twin(network, network.grown(), other, flops=10.0)
    assert (record.site, record.blueprint) == ("all", "mlp mlp")
    assert record.value == float((network.scores() - other.scores()).mean())
    assert record.flops > 10.0


def test_a_twin_writes_where_it_is_told_and_reads_no_test_data(twin_run: Path) -> None:
    assert (twin_run / "checkpoints" / "last.ckpt").is_file()
    assert not any(key.startswith("test/") for key in rows(twin_run)[-1])
    config = read_subject(twin_run).config
    assert str(grown_run()) not in str(config)
    assert not config["test"]


def test_a_twin_can_lack_one_seed_of_a_written_timeline() -> None:
    config = twin_config(subject().config, Path("there"), "layers.0")
    assert {entry["site"] for entry in config["controller"]["timeline"]} == {"layers.1"}
    assert config["callbacks"]["lifecycle"]["controller"] == config["controller"]


def test_no_timeline_and_no_such_site_are_named() -> None:
    config: dict[str, Any] = {**subject().config}
    with pytest.raises(ValueError, match=r"'layers.2'; did you mean"):
        twin_config(config, Path("there"), "layers.2")
    config["controller"] = {"_target_": "kasmina.control.random.RandomGrowth"}
    with pytest.raises(ValueError, match="written timeline"):
        twin_config(config, Path("there"), "layers.0")


def test_a_run_that_was_trained_otherwise_is_no_twin(twin_run: Path) -> None:
    other = read_subject(twin_run)
    strange = replace(other, config={**other.config, "seed": 9})
    with pytest.raises(ValueError, match="its seed is another"):
        twin(subject(), subject().grown(), strange, flops=0.0)


def test_the_twin_of_one_seed_has_the_others() -> None:
    network, other = subject(), subject()
    with pytest.raises(ValueError, match=r"at layers.0, layers.1; it takes layers.1"):
        twin(network, network.chosen("layers.0"), other, flops=0.0)
    remove(other.module, "layers.0")
    (record,) = twin(network, network.chosen("layers.0"), other, flops=0.0)
    assert record.site == SITES[0]
