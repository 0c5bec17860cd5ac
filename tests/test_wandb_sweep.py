"""Sweep files of W&B's: with its own agent and no server, and translated to a multirun."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import yaml

from kasmina import hydra_api
from kasmina.faults import ConfigFaults, UsageFaults
from kasmina.preflight import check_keys
from kasmina.wandb_sweep import answer, parser
from kasmina.wandb_sweep.file import Sweep, find, names, read
from kasmina.wandb_sweep.local import arguments
from tests.run_files import contents, history, of_kind, summary
from tests.runs import VECTORS, load, rows

OURS = ("bayes", "grid", "random")
GOOD = {
    "program": "kasmina",
    "method": "random",
    "run_cap": 4,
    "parameters": {"seed": {"values": [1, 2]}},
    "command": ["${env}", "${program}", "experiment=digits_grow", "${args_no_hyphens}"],
}
SHORT = (
    *("trainer.max_epochs=1", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"),
    *("threads=1", "report=false", "test=false", "callbacks.progress=null"),
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


def sweep_of(folder: Path, **changes: Any) -> Sweep:
    return read(written(folder, **changes))


def asked(*words: str) -> None:
    answer(parser().read(words))


# ---- the files that ship


def test_the_files_that_ship_are_found_by_name_and_the_users_before_them(tmp_path: Path) -> None:
    assert tuple(names()) == OURS
    assert "sweep" not in hydra_api.groups()
    (tmp_path / "conf/sweep").mkdir(parents=True)
    (tmp_path / "conf/sweep/grid.yaml").write_text("mine")
    (tmp_path / "conf/sweep/own.yaml").write_text("mine")
    assert names() == sorted([*OURS, "own"])
    assert find("grid").read_text() == "mine"


@pytest.mark.parametrize("name", OURS)
def test_every_run_of_a_file_that_ships_is_a_config_without_a_fault(name: str) -> None:
    sweep = read(find(name))
    ends = {k: each.get("values") or [each["max"]] for k, each in sweep.parameters.items()}
    by_agent = [*sweep.base, *(f"{key}={values[-1]}" for key, values in ends.items())]
    own = [text for text in arguments(sweep)[1:] if not text.startswith(("hydra", "+hydra"))]
    by_itself = hydra_api.jobs(own)[0]
    assert by_agent != by_itself
    for overrides in (by_agent, by_itself):
        assert check_keys(hydra_api.compose(overrides)) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # W&B leaves it open
@pytest.mark.parametrize("name", OURS)
def test_wandbs_command_reads_a_file_that_ships_as_it_is(name: str) -> None:
    from wandb.sdk.launch.sweeps.utils import load_sweep_config

    assert load_sweep_config(str(find(name))) == read(find(name)).config


LR = "optimizer.lr=tag(log,interval(0.0003,0.03))"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "grid",
            "experiment=digits_grow name=sweep_controllers logger=wandb "
            "controller=none,random,biggest,heuristic seed=1,2,3,4,5",
        ),
        (
            "random",
            "hydra/sweeper=search hydra.sweeper.method=random hydra.sweeper.trials=20 "
            "experiment=digits_grow name=sweep_blending logger=wandb test=false "
            f"{LR} ramp.ticks=int(interval(1,8)) blend=add,gate",
        ),
        (
            "bayes",
            "hydra/sweeper=search hydra.sweeper.method=bayes hydra.sweeper.trials=20 "
            "hydra.sweeper.pruner=asha "
            "+hydra.sweeper.pruner_options.min_resource=20 "
            "+hydra.sweeper.pruner_options.reduction_factor=3 "
            "experiment=digits_grow name=sweep_step_sizes logger=wandb test=false "
            f"{LR} growth.seed_lr=tag(log,interval(0.0003,0.03)) ramp.ticks=int(interval(1,8))",
        ),
    ],
)
def test_a_file_that_ships_is_this_multirun(name: str, wanted: str) -> None:
    assert arguments(read(find(name))) == ["-m", *wanted.split()]


# ---- translation


@pytest.mark.parametrize(
    ("spec", "drawn"),
    [
        ({"value": 3}, "3"),
        ({"values": ["a", "null", True, 0.5]}, "a,null,True,0.5"),
        ({"values": [[1, 2], [3]]}, "[1, 2],[3]"),
        ({"min": 1, "max": 8}, "int(interval(1,8))"),
        ({"min": 0, "max": 1.0}, "interval(0.0,1.0)"),
        ({"distribution": "uniform", "min": 0, "max": 1}, "interval(0.0,1.0)"),
        ({"distribution": "int_uniform", "min": 2, "max": 4}, "int(interval(2,4))"),
        ({"distribution": "q_uniform", "min": 4, "max": 12, "q": 4}, "range(4,13,4)"),
        ({"distribution": "q_uniform", "min": 0.1, "max": 0.3, "q": 0.1}, "range(0.1,0.35,0.1)"),
        (
            {"distribution": "log_uniform_values", "min": 0.001, "max": 1},
            "tag(log,interval(0.001,1.0))",
        ),
        ({"distribution": "log_uniform", "min": 0, "max": 0}, "tag(log,interval(1.0,1.0))"),
        (
            {"distribution": "q_log_uniform_values", "min": 1, "max": 64},
            "tag(log,int(interval(1,64)))",
        ),
    ],
)
def test_what_is_drawn_is_said_in_hydras_words(
    tmp_path: Path, spec: dict[str, Any], drawn: str
) -> None:
    said = arguments(sweep_of(tmp_path, parameters={"seed": spec}))[-1]
    assert said == f"seed={drawn}"
    assert hydra_api.parse(said).is_sweep_override() is ("value" not in spec)


def test_multiples_reach_their_last_and_no_further(tmp_path: Path) -> None:
    spec = {"distribution": "q_uniform", "min": 0.1, "max": 0.6, "q": 0.1}
    said = arguments(sweep_of(tmp_path, method="grid", parameters={"seed": spec}))[-1]
    values = [float(job[0].partition("=")[2]) for job in hydra_api.jobs([said])]
    assert values == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@pytest.mark.parametrize(
    ("method", "spec", "why"),
    [
        ("random", {"distribution": "normal", "mu": 0, "sigma": 1}, "'normal'"),
        ("random", {"distribution": "uniformly", "min": 0, "max": 1}, "did you mean 'uniform'"),
        ("random", {"parameters": {"lr": {"value": 1}}}, "'nested parameters'"),
        (
            "random",
            {"values": [1, 2], "probabilities": [0.5, 0.5]},
            "'categorical_w_probabilities'",
        ),
        ("random", {"min": 1}, "goes from min to max"),
        (
            "random",
            {"distribution": "q_log_uniform_values", "min": 1, "max": 64, "q": 8},
            "only for q 1",
        ),
        ("grid", {"min": 0.0, "max": 1.0}, "a grid over uniform has no end"),
    ],
)
def test_what_has_no_counterpart_is_said(
    tmp_path: Path, method: str, spec: dict[str, Any], why: str
) -> None:
    sweep = sweep_of(tmp_path, method=method, parameters={"seed": spec})
    with pytest.raises(ConfigFaults, match=why) as caught:
        arguments(sweep)
    assert caught.value.lines[0].startswith("parameters.seed: ")


def test_the_number_of_runs_comes_from_the_command_line_or_the_file(tmp_path: Path) -> None:
    assert "hydra.sweeper.trials=4" in arguments(sweep_of(tmp_path))
    assert "hydra.sweeper.trials=9" in arguments(sweep_of(tmp_path), count=9)
    grid = sweep_of(tmp_path, method="grid")
    assert "hydra.launcher.first=4" in arguments(grid)
    assert "hydra.launcher.first=1" in arguments(grid, count=1)
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({k: GOOD[k] for k in GOOD if k != "run_cap"})
    )
    with pytest.raises(ConfigFaults, match="how many runs"):
        arguments(read(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("metric", "base"),
    [
        ({"name": "val/loss", "goal": "minimize"}, ()),
        ({"name": "val/accuracy"}, ()),  # W&B minimizes where no goal is said
        ({"name": "val/accuracy", "goal": "maximize"}, ("task.monitor=loss", "task.mode=min")),
    ],
)
def test_the_metric_is_the_one_that_a_run_returns(
    tmp_path: Path, metric: dict[str, str], base: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigFaults, match=r"metric: the sweep wants the .* a run here gives"):
        arguments(sweep_of(tmp_path, metric=metric).overridden(base))


def test_only_a_pruner_that_is_there_stops_runs(tmp_path: Path) -> None:
    odd = {"type": "hyperband", "max_iter": 27, "s": 2}
    with pytest.raises(ConfigFaults, match="early_terminate"):
        arguments(sweep_of(tmp_path, early_terminate=odd))


def test_an_override_goes_before_the_file(tmp_path: Path) -> None:
    both = {"seed": {"values": [1, 2]}, "blend": {"values": ["add", "gate"]}}
    sweep = sweep_of(tmp_path, parameters=both).overridden(["seed=7", "experiment=cifar10_grow"])
    assert list(sweep.parameters) == ["blend"]
    assert sweep.base == ("seed=7", "experiment=cifar10_grow")
    assert sweep.config["command"] == ["${env}", "${program}", *sweep.base, "${args_no_hyphens}"]


def test_the_macros_that_add_and_force_keys_keep_their_signs(tmp_path: Path) -> None:
    for macro, sign in (("${args_append_hydra}", "+"), ("${args_override_hydra}", "++")):
        sweep = sweep_of(tmp_path, command=["${interpreter}", "-m", "kasmina", macro])
        assert arguments(sweep)[-1] == f"{sign}seed=1,2"


# ---- mistakes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"metod": "grid"}, "unknown key 'metod'; did you mean 'method'"),
        ({"method": "gird"}, "unknown method 'gird'; did you mean 'grid'"),
        ({"method": "bayes"}, "metric is missing"),
        ({"metric": {"name": "x", "goal": "maximise"}}, "did you mean 'maximize'"),
        ({"metric": {"name": "x", "goal": ["maximize"]}}, "unknown goal"),
        ({"run_cap": 0}, "run_cap is a whole number"),
        ({"parameters": {}}, "parameters is missing"),
        ({"parameters": {"a/b": {"value": 1}}}, "no / or @"),
        ({"parameters": {"a": {"valeus": [1]}}}, "did you mean 'values'"),
        ({"parameters": {"a": {"value": None}}}, 'write "null", in quotes'),
        ({"parameters": {"a": {"values": [[None]]}}}, 'write "null", in quotes'),
        ({"parameters": {"a": {"values": ["1,2"]}}}, "several values to Hydra"),
        ({"parameters": {"a": {"value": {"b": 1}}}}, "Hydra cannot read"),
        ({"parameters": {"a": {"values": []}}}, "with something in it"),
        ({"parameters": {"a": {"min": "1e-4", "max": 1}}}, "not '1e-4'"),
        ({"parameters": {"a": {"min": None, "max": 1}}}, "min is a number, not None"),
        ({"parameters": {"a": {"min": 2, "max": 1}}}, "min 2 is above max 1"),
        ({"parameters": {"a": {"min": 0, "max": 1, "q": 0}}}, "q is above 0"),
        ({"parameters": {"a": {"value": 1, "min": 1, "max": 2}}}, "has one of"),
        ({"command": ["${env}", "${program}", "${args}"]}, r"\$\{args_no_hyphens\}"),
        ({"command": ["train.py", "a=1", "${args_no_hyphens}"]}, "does not run kasmina"),
        ({"command": ["kasmina", "--fast", "${args_no_hyphens}"]}, "'--fast' is no override"),
    ],
)
def test_a_mistake_in_a_file_is_one_line(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigFaults, match=why) as caught:
        sweep_of(tmp_path, **changes)
    assert all(line.count("\n") == 0 and "mine.yaml: " in line for line in caught.value.lines)


@pytest.mark.parametrize("text", ["a: [", "just words", ""])
def test_what_is_no_mapping_is_no_sweep_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigFaults, match=r"mine\.yaml: ") as caught:
        read(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["gird", "--local"], "unknown sweep file 'gird'; did you mean 'grid'"),
        (["grid"], "no key of W&B: `wandb login`"),
        (["grid", "--local", "-n", "0"], "at least 1 run"),
        (["grid", "--local", "--project", "p"], "--local has none"),
        (["grid", "--resume", "auto"], "--resume goes with --local"),
        (["grid", "--local", "seed=1,2"], "what is varied stands in the file"),
        (["grid", "--local", "seed"], "is no override"),
        (["resume"], "which multirun"),
        (["resume", "nowhere"], "is no multirun's folder"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(words: list[str], why: str) -> None:
    with pytest.raises(UsageFaults, match=why) as caught:
        asked(*words)
    assert "\n" not in str(caught.value)


# ---- runs


class Server:
    """What W&B's server does for one agent: keeps the sweep, and asks for one run."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.told: dict[str, Any] = {}

    def register(
        self, api: Any, config: dict[str, Any], **_: Any
    ) -> tuple[dict[str, Any], list[str]]:
        self.config = yaml.safe_load(yaml.safe_dump(config))
        return {"name": "s1"}, []

    def find(self, api: Any, number: str, *_: Any, **__: Any) -> dict[str, Any]:
        assert number == "s1"
        return {"config": yaml.safe_dump(self.config)}

    def heartbeat(self, api: Any, agent: str, metrics: Any, running: Any) -> list[dict[str, Any]]:
        if self.told:
            return []
        specs = self.config["parameters"].items()
        self.told = {
            key: spec["values"][-1] if "values" in spec else spec["max"] for key, spec in specs
        }
        args = {key: {"value": value} for key, value in self.told.items()}
        return [{"type": "run", "run_id": "r1", "args": args, "program": self.config["program"]}]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Answers in place of W&B's; the agent, its loop and its processes are W&B's own."""
    server, sweeps = Server(), "wandb.apis.public.sweeps"
    api = SimpleNamespace(settings={"base_url": "http://x", "entity": None, "project": None})
    api.default_entity = None
    known = {"WANDB_API_KEY": "0" * 40, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    with (
        mock.patch.dict(os.environ, {**known, "WANDB_DIR": str(tmp_path)}),
        mock.patch(f"{sweeps}._upsert_sweep", server.register),
        mock.patch(f"{sweeps}._sweep_with_runs", server.find),
        mock.patch(f"{sweeps}._register_agent", return_value={"id": "a1"}),
        mock.patch(f"{sweeps}._agent_heartbeat", server.heartbeat),
        mock.patch("wandb.sdk.wandb_login._login"),
        mock.patch("wandb.Api", return_value=api),
        mock.patch("wandb.wandb_agent.Agent.POLL_INTERVAL", 0.2),
    ):
        yield server


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [OURS[0], *(pytest.param(name, marks=pytest.mark.long) for name in OURS[1:])]
)
def test_wandbs_own_agent_runs_every_file_that_ships(
    name: str, server: Server, tmp_path: Path
) -> None:
    asked(name, "--count", "1", *SHORT)
    assert server.told.keys() == read(find(name)).parameters.keys()
    found = contents(tmp_path)
    (run,) = tmp_path.glob("runs/*/*")
    (about,) = of_kind(found, "run")
    assert (about["run_id"], about["sweep_id"]) == ("r1", "s1")
    wanted = {key: str(value) for key, value in server.told.items()}
    overrides = (text.partition("=") for text in load(run, "environment.json")["overrides"])
    assert wanted.items() <= {key: value for key, _, value in overrides}.items()
    assert of_kind(found, "exit")[0].get("exit_code", 0) == 0
    (row,) = [row for row in history(found) if "val/accuracy" in row]
    assert row["val/accuracy"] == float(rows(run)[0]["val/accuracy"])
    assert summary(found)["status"] == "finished"


@pytest.mark.slow
@pytest.mark.long
def test_without_a_server_the_same_runs_are_a_multirun(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*GOOD["command"][:2], "name=tiny", "logger=wandb", *VECTORS, *SHORT]
    written(tmp_path, method="grid", command=[*command, "${args_no_hyphens}"])
    with mock.patch.dict(os.environ), mock.patch.object(sys, "argv", sys.argv):
        asked("mine.yaml", "--local", "-n", "1", "controller=none")
    assert "1 of 1 jobs done" in capsys.readouterr().out
    (multirun,) = tmp_path.glob("multirun/tiny/*")
    (about,) = of_kind(contents(multirun), "run")
    assert about["run_group"] == f"tiny/{multirun.name}"
    assert about["display_name"] == "tiny 0_seed=1"
