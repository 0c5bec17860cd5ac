import pytest
import torch
from _runs import RunFolder
from torch import nn

from kasmina import commands, hydra_api, listing
from kasmina.faults import ConfigFaults, RunFailed, UsageFaults
from kasmina.listing import LISTS, check_blueprints


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


def rows(capsys, what, *overrides):
    LISTS[what](list(overrides))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("what", "group", "column"),
    [
        ("hosts", "host", "host={}"),
        ("blueprints", "blueprint", "{} "),
        ("controllers", "controller", "controller={}"),
        ("experiments", "experiment", "kasmina experiment={}"),
    ],
)
def test_a_list_has_a_row_for_every_option(capsys, what, group, column):
    lines = rows(capsys, what)
    for name in hydra_api.options(group):
        assert any(line.startswith(column.format(name)) for line in lines), name


def test_the_blueprints_are_listed_with_what_they_fit(capsys):
    lines = rows(capsys, "blueprints")
    (lora,) = [line for line in lines if line.startswith("lora ")]
    assert "sequence, vector" in lora
    assert "rank=8" in lora


def test_every_attention_backend_is_listed_with_a_verdict(capsys):
    lines = rows(capsys, "attention")
    (math,) = [line for line in lines if line.startswith("attention=math ")]
    assert math.split()[1:] == ["yes", "yes"]
    assert len(lines) >= 1 + len(hydra_api.options("attention"))


def test_the_sites_of_the_configured_host_are_listed_with_kind_and_width(capsys):
    lines = rows(capsys, "sites", "host.widths=[4,6]", "blueprint=[se,lora]")
    (row,) = [line.split() for line in lines if line.startswith("stages.1 ")]
    assert row[:3] == ["stages.1", "map", "6"]
    assert row[-2:] == ["yes", "se"]
    (head,) = [line.split() for line in lines if line.startswith("head ")]
    assert head[:3] == ["head", "vector", "10"]
    assert head[-1] == "lora"


def test_sites_that_do_not_exist_are_told_below_those_that_do(capsys):
    lines = rows(capsys, "sites", "slots.sites=[blocks.*]")
    assert any(line.startswith("stages.0 ") for line in lines)
    assert lines[-1].startswith("slots.sites: this host has no 'blocks.*'; possible: stages.*")


def test_a_wrong_config_is_told_before_anything_is_listed():
    with pytest.raises(ConfigFaults, match="host: unknown option 'gtp'"):
        LISTS["sites"](["host=gtp"])


def test_a_blueprint_that_keeps_the_contract_is_told_law_by_law(capsys):
    check_blueprints(["blueprint=[se]"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("kept   se on a map, ")
    assert all(line.startswith("kept") for line in lines)


def test_a_blueprint_that_breaks_a_law_fails_the_check(capsys, tmp_path):
    folder = tmp_path / "conf" / "blueprint"
    folder.mkdir(parents=True)
    text = f"# @package blueprint.twice\n_target_: {__name__}.Twice\n"
    (folder / "twice.yaml").write_text(text)
    with pytest.raises(RunFailed, match="laws are broken"):
        check_blueprints(["blueprint=twice"])
    out = capsys.readouterr().out
    assert "BROKEN twice on a map, identity: a newborn changes the features" in out
    assert "kept   twice on a map, shape" in out


class Twice(nn.Module):
    """Not what it takes, at birth."""

    kinds = ("map",)

    def __init__(self, site):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, h):
        return h * self.factor


def found(capsys, *arguments, **options):
    listing.runs([str(each) for each in arguments], **options)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def three(tmp_path):
    """Three runs below ./runs, the working directory's."""
    for seed in range(3):
        values = {"val/accuracy": [0.5 + seed / 10]}
        RunFolder(tmp_path / "runs" / str(seed), ticks=1, seed=seed, values=values).write()
    return tmp_path / "runs"


def test_runs_are_listed_with_the_keys_that_were_asked_for(capsys, three):
    head, *lines = found(capsys, three, "val/accuracy>0.55", sort="kept", columns=["host.width"])
    columns = ["run", "status", "seed", "best", "parameters", "flops"]
    assert head == [*columns, "val/accuracy", "kept", "host.width"]
    assert [line[:5] for line in lines] == [
        ["runs/1", "finished", "1", "60.0", "%"],
        ["runs/2", "finished", "2", "70.0", "%"],
    ]
    assert [line[-2:] for line in lines] == [["0", "8"]] * 2


def test_without_a_folder_the_runs_are_those_of_the_working_directory(capsys, three):
    assert len(found(capsys)) == 1 + 3
    (three / "seed=1").mkdir()
    (three / "2").rename(three / "seed=1" / "2")
    assert len(found(capsys, three / "seed=1")) == 1 + 1, "a folder is no condition"


def test_without_any_runs_one_line_says_so():
    with pytest.raises(ConfigFaults, match="here is neither runs nor multirun"):
        listing.runs(["seed=1"])


def test_the_command_line_takes_folders_conditions_sort_and_columns(capsys, three):
    commands.run(
        ["list", "runs", "runs", "--sort", "seed:desc", "seed>0", "--columns", "kept,pruned"]
    )
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["kept", "pruned"]
    assert [line.split()[0] for line in lines] == ["runs/2", "runs/1"]


@pytest.mark.parametrize("option", ["--sort", "--columns"])
def test_what_is_no_list_of_runs_is_not_sorted(option):
    with pytest.raises(UsageFaults, match="are for runs, and this lists hosts"):
        commands.run(["list", "hosts", option, "kind"])
