"""Every file of ``conf/``: composes, keeps its promises, passes the preflight."""

import re

import pytest
from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina.preflight import check, check_keys
from kasmina.train import train

CONF = hydra_api.conf_dir()
FILES = sorted(CONF.rglob("*.yaml"))
OPTIONS = [
    (path.parent.name, path.stem)
    for path in FILES
    if path.parent.parent == CONF and path.parent.name in hydra_api.groups()
]
EXPERIMENTS = [name for group, name in OPTIONS if group == "experiment"]
BLUEPRINTS = [name for group, name in OPTIONS if group == "blueprint"]

NEEDS = {
    ("host", "gpt"): ["data=stdlib_text"],
    ("timing", "replay"): ["timing.run=somewhere"],
    ("baseline", "static_large"): ["baseline.run=somewhere"],
    ("baseline", "static_small"): ["baseline.run=somewhere"],
    **{
        ("data", name): ["host=gpt", "task=language_modelling"]
        for name in ("shakespeare", "stdlib_text", "synthetic_tokens")
    },
    ("data", "synthetic_vectors"): ["host=mlp"],
}
"""What an option cannot stand without."""

_NO_GPU = ["trainer=cpu", "compile=off"]
INSTEAD = {
    "cifar10_airbench": ["data=synthetic", "~data.augment", "data.batch_size=4", *_NO_GPU],
    "cifar10_grow": ["data=synthetic", "~data.subset"],
    "shakespeare_gpt6x384": [
        "data=synthetic_tokens",
        "host.depth=1",
        "data.batch_size=2",
        *_NO_GPU,
    ],
    "shakespeare_grow": ["data=synthetic_tokens"],
}
"""Experiments on files and on GPUs: random data of the same kind, and small batches on the CPU."""

QUANTITY = re.compile(
    r"\b(max_ticks|ticks|max_epochs|\w+_steps|every|interval|batch_size|(?!vocab|kernel)\w+_size"
    r"|tail|hold|incubate|cooldown|patience|context|lr|weight_decay): [\d.]"
)
SAID_ELSEWHERE = {"experiment", "ablation"}  # keys whose unit stands where they are defined


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


def overrides_of(group: str, name: str) -> list[str]:
    if group == "criterion":
        return ["controller=race", f"criterion@controller.race.criterion={name}"]
    return [f"{group}={name}", *NEEDS.get((group, name), [])]


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_composes_and_every_key_is_right(group, name):
    overrides = overrides_of(group, name)
    if "host=gpt" in overrides or "data=stdlib_text" in overrides:
        overrides += ["task=language_modelling"]
    assert check_keys(hydra_api.compose(overrides)) == []


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_filed_under_its_own_name(name):
    first = (CONF / "blueprint" / f"{name}.yaml").read_text().splitlines()[0]
    assert first == f"# @package blueprint.{name}"
    assert list(hydra_api.compose([f"blueprint=[{name}]"]).blueprint) == [name]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_the_command_that_runs_it(name):
    header, command, what = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()[:3]
    assert header == "# @package _global_"
    assert command.startswith(f"# kasmina experiment={name}")
    assert what.startswith("# ")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_named_as_its_file(name):
    assert hydra_api.compose([f"experiment={name}"]).name == name


@pytest.mark.parametrize("name", [name for group, name in OPTIONS if group == "ablation"])
def test_an_ablation_opens_with_its_command_and_is_named_after_its_file(name):
    header, command, what = (CONF / "ablation" / f"{name}.yaml").read_text().splitlines()[:3]
    assert header == "# @package _global_"
    assert command.startswith(f"# kasmina ablate {name}")
    assert what.startswith("# ")
    assert hydra_api.compose([f"ablation={name}"]).name == f"ablation_{name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_a_file_holds_no_logic_and_no_option_of_hydras_instantiate(path):
    text = path.read_text()
    assert not re.search(r"_(partial|recursive|convert|args)_", text)
    assert "${eval" not in text
    assert text.endswith("\n")


@pytest.mark.parametrize(("group", "name"), [o for o in OPTIONS if o[0] not in SAID_ELSEWHERE])
def test_a_quantity_has_its_unit_in_a_comment(group, name):
    lines = (CONF / group / f"{name}.yaml").read_text().splitlines()
    bare = [line for line in lines if QUANTITY.search(line) and "#" not in line]
    assert bare == []


def test_the_root_puts_its_own_keys_first_and_debug_last():
    defaults = OmegaConf.load(CONF / "train.yaml").defaults
    assert defaults[0] == "_self_"
    groups = [next(iter(entry)) for entry in defaults[1:] if "override" not in next(iter(entry))]
    assert groups[-1] == "debug"
    assert groups.index("experiment") < groups.index("debug")


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("debug", ["fast_dev_run", "limit", "overfit", "profiler"])
def test_debug_wins_over_an_experiment(name, debug):
    config = hydra_api.compose([f"experiment={name}", f"debug={debug}"])
    assert config.name == "debug"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs(name, tmp_path):
    """Two batches of it; random data where its own is in files, and the CPU in place of a GPU."""
    quick = ["debug=fast_dev_run", "callbacks.progress=null"]
    config = hydra_api.compose([f"experiment={name}", *quick, *INSTEAD.get(name, [])])
    assert check(config) == []
    config.paths.run_dir = str(tmp_path / "run")
    train(config)
    assert (tmp_path / "run" / "config.yaml").is_file()
