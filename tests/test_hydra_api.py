import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.faults import ConfigFaults


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


def option(folder: Path, name: str, text: str) -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_configs_that_come_with_the_package_are_found():
    assert (hydra_api.conf_dir() / "train.yaml").is_file()


def test_the_default_config_composes():
    config = hydra_api.compose([])
    assert config.seed == 1
    assert config.paths.run_dir.startswith("runs/default/")
    assert "hydra" not in config


def test_a_group_lists_its_options():
    assert {"cpu", "gpu", "ddp", "ddp_sim", "debug"} <= set(hydra_api.options("trainer"))
    assert hydra_api.options("nothing") == []
    assert {"host", "blueprint", "slots"} <= set(hydra_api.groups())
    assert "hydra" not in hydra_api.groups()


@pytest.mark.parametrize("place", ["working directory", "environment"])
def test_a_users_options_stand_beside_ours(tmp_path, monkeypatch, place):
    if place == "environment":
        folder = tmp_path / "elsewhere"
        monkeypatch.setenv(hydra_api.USER_CONF, str(folder))
    else:
        folder = tmp_path / "conf"
    option(folder, "blueprint/mine", "# @package blueprint.mine\n_target_: mine.Mine\n")
    option(folder, "experiment/mine", "# @package _global_\nseed: 9\n")
    config = hydra_api.compose(["blueprint=[mine,se]", "experiment=mine"])
    assert list(config.blueprint) == ["mine", "se"]
    assert config.seed == 9
    assert "mine" in hydra_api.options("blueprint")
    assert "se" in hydra_api.options("blueprint")


def test_a_users_option_goes_before_ours_of_the_same_name(tmp_path):
    option(tmp_path / "conf", "ramp/cosine", "curve: cosine\nticks: 77\ntarget: 1.0\n")
    assert hydra_api.compose([]).ramp.ticks == 77


def test_the_first_folder_of_the_environment_goes_before_the_second(tmp_path, monkeypatch):
    for ticks in (1, 2):
        option(tmp_path / str(ticks), "ramp/mine", f"curve: linear\nticks: {ticks}\ntarget: 1.0\n")
    folders = os.pathsep.join(str(tmp_path / name) for name in ("2", "1"))
    monkeypatch.setenv(hydra_api.USER_CONF, folders)
    assert hydra_api.compose(["ramp=mine"]).ramp.ticks == 2


def test_a_folder_that_the_environment_names_must_exist(monkeypatch):
    monkeypatch.setenv(hydra_api.USER_CONF, "/no/such/folder")
    with pytest.raises(ConfigFaults, match="KASMINA_CONF names /no/such/folder"):
        hydra_api.user_dirs()


def test_our_own_folder_is_no_users(monkeypatch):
    monkeypatch.chdir(hydra_api.conf_dir().parent)
    assert hydra_api.user_dirs() == []


def test_a_multirun_is_every_combination():
    jobs = hydra_api.jobs(["seed=range(1,3)", "name=x", "host=mlp,convnet"])
    assert jobs == [
        ["seed=1", "name=x", "host=mlp"],
        ["seed=1", "name=x", "host=convnet"],
        ["seed=2", "name=x", "host=mlp"],
        ["seed=2", "name=x", "host=convnet"],
    ]


def test_a_continuous_range_counts_once():
    assert hydra_api.jobs(["optimizer.lr=interval(0.1,0.5)"]) == [["optimizer.lr=0.1"]]


def test_a_sweep_that_the_config_describes_is_unrolled(tmp_path):
    text = "# @package _global_\nhydra:\n  sweeper:\n    params:\n      seed: 3,4\n"
    option(tmp_path / "conf", "hparams_search/mine", text)
    jobs = hydra_api.jobs(["hparams_search=mine"])
    assert jobs == [["seed=3", "hparams_search=mine"], ["seed=4", "hparams_search=mine"]]


def test_a_multirun_is_unrolled_up_to_a_limit():
    assert len(hydra_api.jobs(["seed=range(0,1000)", "host=mlp,gpt"], limit=30)) == 30


def test_what_cannot_be_read_stays_as_it_came():
    assert hydra_api.jobs(["seed=[1", "nope=1,2"]) == [["seed=[1", "nope=1"], ["seed=[1", "nope=2"]]


def test_two_compositions_of_one_moment_have_different_folders():
    first, second = (hydra_api.compose([]).paths.run_dir for _ in range(2))
    assert first != second


def test_a_folder_that_cannot_be_named_is_no_error_yet():
    assert hydra_api.compose(["name=${nope}"]).paths.run_dir == "runs"


def test_comments_of_an_option_are_those_it_opens_with(tmp_path):
    text = "# @package _global_\n# kasmina experiment=mine\n# What it shows.\nseed: 1  # not this\n"
    option(tmp_path / "conf", "experiment/mine", text)
    comments = hydra_api.comments("experiment", "mine")
    assert comments == ["kasmina experiment=mine", "What it shows."]


@pytest.mark.parametrize(
    ("number", "words", "folder"),
    [
        (0, "seed=1,host=mlp", "0_seed=1,host=mlp"),
        (3, "", "3"),
        (1, "data.root=/some/where", "1_data.root=-some-where"),
        (2, "x" * 400, "2_" + "x" * 100),
    ],
)
def test_a_jobs_folder_is_readable_and_not_too_long(number, words, folder):
    config = OmegaConf.create({"folder": "${job_folder:${number},${words}}"})
    config.number, config.words = number, words
    assert config.folder == folder


def test_of_a_search_every_value_is_composed_once_and_not_every_combination():
    jobs = hydra_api.jobs(["hydra/sweeper=search", "host=mlp,gpt", "seed=range(1,50)"])
    assert len(jobs) == 1 + 1 + 48
    assert {text for job in jobs for text in job} >= {"host=mlp", "host=gpt", "seed=1", "seed=49"}


def test_settings_that_cannot_be_composed_are_empty():
    assert hydra_api.settings("sweeper", ["nope=1"]) == {}
    assert hydra_api.settings("launcher", ["seed=1,2"])["per_device"] == 1
