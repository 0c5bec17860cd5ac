import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kasmina import hydra_api
from kasmina._version import __version__
from kasmina.cli import main

SMALL = ["debug=limit", "report=false", "callbacks.progress=null"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "kasmina", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)


def trained(*arguments: object, where: str = "runs") -> list[Path]:
    """Run a small training; the folders of its runs."""
    result = run(*SMALL, *arguments)
    assert result.returncode == 0, result.stderr
    return sorted(path.parent for path in Path(where).rglob("summary.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["--cfg", "job"],
        ["--cfg", "job", "--resolve"],
        ["-m", "--cfg", "job", "seed=1,2"],
        ["report", "--help"],
        ["list", "--help"],
        ["--cfg", "job", "host=gtp"],
        ["--mulitrun"],
    ],
)
def test_a_question_is_answered_without_torch(arguments):
    imported = [sys.executable, "-X", "importtime", "-m", "kasmina", *arguments]
    result = subprocess.run(imported, capture_output=True, text=True, timeout=60)
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert not {"torch", "lightning", "numpy", "wandb"} & modules


def test_the_version_is_ours(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"kasmina {__version__}\n"


def test_help_shows_examples_and_every_group_with_its_options(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "kasmina experiment=digits_grow" in out
    for group in hydra_api.groups():
        assert f"\n  {group} " in out
    assert "ddp_sim" in out


@pytest.mark.parametrize("name", ["check", "eval", "list", "report"])
def test_every_command_has_a_help_with_examples(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"  kasmina {name} " in capsys.readouterr().out


def test_every_mistake_is_named_at_once_with_exit_code_2(capsys):
    wrong = ["host=gtp", "hots=gpt", "seed=[1", "+ramp.tikcs=3", "optimizer.lr=fast"]
    assert main(wrong) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(wrong)
    assert all(line.startswith("config error: ") for line in lines)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "error: 'trian' is no command"),
        (["lsit", "hosts"], "did you mean 'list'?"),
        (["list", "hsots"], "did you mean 'hosts'?"),
        (["list"], "error: the following arguments are required: WHAT"),
        (["eval", "nowhere"], "error: no checkpoint: nowhere is no file"),
        (["eval", "nowhere", "--splt", "test"], "did you mean '--split'?"),
        (["eval", "nowhere", "--split", "train"], "possible: test, validation"),
        (["report", "nowhere"], "error: "),
        (["--mulitrun"], "did you mean '--multirun'?"),
        (["resume=nowhere"], "config error: resume: "),
        (["seed=1,2"], "several values need -m"),
        (["check", "blueprint=sse"], "did you mean 'se'?"),
        (["list", "sites", "host.blocks=x"], "config error: host.blocks: 'x' came"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(capsys, arguments, said):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_config_folder_that_is_not_there_is_one_line(capsys, monkeypatch):
    monkeypatch.setenv(hydra_api.USER_CONF, "/no/such/folder")
    assert main(["--cfg", "job"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "config error: KASMINA_CONF names /no/such/folder, which is no folder"


def test_a_multirun_with_one_wrong_job_starts_none(capsys):
    assert main(["-m", "host.norm=batch,bach", "seed=1,2,3"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("config error: host.norm: 'bach' came; did you mean 'batch'?")
    assert not Path("multirun").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["seed=range(5,2)"], "seed=range(5,2): has no value"),
        (["seed=1,2", "hydra.launcher.jobs=0"], "hydra.launcher.jobs: is a whole number from 1"),
        (["seed=1,2", "hydra.launcher.first=x"], "hydra.launcher.first: is a whole number from 0"),
        (
            ["seed=1,2", "hydra/sweeper=search", "hydra.sweeper.params=3"],
            "hydra.sweeper.params: maps keys to values",
        ),
        (
            ["seed=1,2", "hydra/sweeper=search", "hydra.launcher.first=1"],
            "hydra.launcher.first: a search has",
        ),
    ],
)
def test_a_multirun_that_cannot_be_counted_out_is_a_line(capsys, typed, said):
    assert main(["-m", *typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"config error: {said}")


def test_the_configs_of_a_multirun_are_shown_one_after_the_other(capsys):
    assert main(["-m", "--cfg", "job", "-p", "ramp", "ramp=linear,cosine", "seed=3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# job 0: ramp=linear seed=3\ncurve: linear\n")
    assert "# job 1: ramp=cosine seed=3\ncurve: cosine\n" in out


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """The folder of a run of three epochs."""
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        command(*SMALL, "seed=3", "name=mine"), capture_output=True, text=True, cwd=home
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (home / "runs" / "mine").iterdir()
    return folder


@pytest.fixture
def folder(first_run, tmp_path):
    """A copy of it: a run can be moved."""
    return Path(shutil.copytree(first_run, tmp_path / "moved"))


def test_a_run_is_recorded(first_run):
    config = OmegaConf.load(first_run / "config.yaml")
    assert config.seed == 3
    assert Path(config.paths.run_dir) == first_run.resolve()
    assert "INFO" in (first_run / "kasmina.log").read_text()
    assert "seed=3" in OmegaConf.load(first_run / ".hydra" / "overrides.yaml")


def test_a_run_is_resumed_in_its_folder_with_its_own_overrides(folder):
    before = (folder / "metrics.csv").read_text().splitlines()
    (same,) = trained(f"resume={folder}", "trainer.max_epochs=5", where=".")
    after = (folder / "metrics.csv").read_text().splitlines()
    assert same.resolve() == folder
    assert after[: len(before)] == before
    assert len(after) == len(before) + 2
    assert OmegaConf.load(folder / "config.yaml").seed == 3


def test_a_run_is_evaluated_from_its_record(folder):
    result = run("eval", f"ckpt={folder}/checkpoints/last.ckpt")
    assert result.returncode == 0, result.stderr
    assert "val/accuracy" in result.stdout


def test_a_run_that_its_user_can_mend_ends_with_one_line_and_a_traceback_in_its_log(folder):
    result = run(f"resume={folder}", "trainer.max_epochs=1")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "ERROR: You restored a checkpoint with current_epoch=" in result.stderr
    assert "Traceback" in (folder / "kasmina.log").read_text()


@pytest.mark.long
def test_a_multirun_makes_a_readable_folder_for_every_job():
    folders = trained("-m", "seed=1,2", "controller=none", "name=many", where="multirun")
    assert [folder.name for folder in folders] == ["0_seed=1", "1_seed=2"]
    seeds = [json.loads((folder / "summary.json").read_text())["seed"] for folder in folders]
    assert seeds == [1, 2]


@pytest.mark.long
def test_the_ranks_of_a_multiruns_jobs_work_in_the_folders_of_their_jobs():
    folders = trained("-m", "seed=1,2", "trainer=ddp_sim", "name=many", where="multirun")
    assert [folder.name for folder in folders] == ["0_seed=1", "1_seed=2"]
    assert all((folder / "train_ddp_process_1.log").is_file() for folder in folders)
    assert not Path("runs").exists()


def _hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job's children are deaf to it


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_says_where_the_run_goes_on():
    arguments = ["report=false", "callbacks.progress=null", "trainer.max_epochs=100000"]
    process = subprocess.Popen(
        command(*arguments),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_ctrl_c,
    )
    try:
        deadline = time.monotonic() + 60
        while not list(Path("runs").rglob("last.ckpt")) and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    folder = checkpoint.parents[1].resolve()
    assert process.returncode == 130
    assert f"interrupted; the last checkpoint is {folder}/checkpoints/last.ckpt" in err
    assert f"kasmina resume='{folder}'" in err
    assert "Traceback" not in err
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
