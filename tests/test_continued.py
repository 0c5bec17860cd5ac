import json
import os
from pathlib import Path

import pytest

from kasmina import hydra_api
from kasmina.continued import continued
from kasmina.faults import ConfigFaults
from kasmina.multirun import COMMAND
from kasmina.request import read


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


def multirun(name: str, *overrides: str, age: float = 0) -> Path:
    """A folder where one was started, ``age`` seconds ago."""
    folder = Path("multirun/default", name).resolve()
    folder.mkdir(parents=True)
    command = folder / COMMAND
    command.write_text(json.dumps({"root": "train", "overrides": list(overrides)}))
    os.utime(command, (1e9 - age, 1e9 - age))
    return folder


def there(folder: Path) -> list[str]:
    return [f"hydra.sweep.dir='{folder}'", "hydra.launcher.resume=true"]


def test_a_multirun_without_resume_is_as_it_came():
    request = read(["-m", "seed=1,2", "resume=null"])
    assert continued(request) == request


def test_a_folder_brings_its_overrides_and_new_ones_come_after_them():
    folder = multirun("a", "seed=1,2", "+new=1")
    request = continued(read(["-m", f"resume='{folder}'", "+new=1", "threads=1"]))
    assert request.overrides == ["seed=1,2", "+new=1", "threads=1", *there(folder)]
    assert request.multirun


def test_auto_is_the_newest_multirun_of_the_same_overrides_in_any_order(capsys):
    multirun("a", "seed=1,2", "host=mlp", age=9)
    folder = multirun("b", "seed=1,2", "host=mlp", age=5)
    multirun("c", "seed=1,3", "host=mlp")
    request = continued(read(["-m", "host=mlp", "resume=auto", "seed=1,2"]))
    assert request.overrides == ["host=mlp", "seed=1,2", *there(folder)]
    assert capsys.readouterr().err == f"resume=auto: goes on with {folder}\n"


def test_auto_looks_where_the_multirun_is_put():
    folder = multirun("mine", "seed=1,2")
    where = f"hydra.sweep.dir={folder}"
    request = continued(read(["-m", "seed=1,2", where, "resume=auto"]))
    assert request.overrides[-2:] == there(folder)
    assert continued(read(["-m", "seed=1,2", where + "2", "resume=auto"])).overrides == [
        "seed=1,2",
        where + "2",
    ]


def test_auto_starts_a_new_one_where_there_is_none(capsys):
    assert continued(read(["-m", "seed=1,2", "resume=auto"])).overrides == ["seed=1,2"]
    assert "no such multirun in" in capsys.readouterr().err


def test_what_is_wrong_is_left_to_the_check_of_the_jobs():
    assert continued(read(["-m", "sed=1,2", "resume=auto"])).overrides == ["sed=1,2"]
    assert continued(read(["-m", "seed=[1", "resume=auto"])).overrides == ["seed=[1"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["resume=nowhere"], "is no multirun's folder: it has no command.json"),
        (["resume=auto", "hydra/launcher=basic"], "only hydra/launcher=process goes on"),
    ],
)
def test_what_cannot_go_on_says_so(arguments, fault):
    with pytest.raises(ConfigFaults, match=fault):
        continued(read(["-m", *arguments]))


def test_the_ranks_of_torchrun_do_not_all_run_all_jobs(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigFaults, match="every rank of torchrun or srun would run all jobs"):
        continued(read(["-m", "seed=1,2"]))
