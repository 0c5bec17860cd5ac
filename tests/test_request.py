import os

import pytest

from kasmina import hydra_api
from kasmina.faults import ConfigFaults, UsageFaults
from kasmina.request import based, read, resumed


def run_folder(path, overrides, *, checkpoint=True):
    (path / ".hydra").mkdir(parents=True)
    (path / ".hydra" / "overrides.yaml").write_text("".join(f"- {o}\n" for o in overrides))
    if checkpoint:
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / "last.ckpt").touch()
    return path


def test_flags_and_overrides_may_stand_in_any_order():
    request = read(["seed=1,2", "-m", "~logger", "+new=3"])
    assert request.multirun
    assert request.overrides == ["seed=1,2", "~logger", "+new=3"]
    assert request.argv == ["--multirun", "seed=1,2", "~logger", "+new=3"]


def test_a_question_about_a_multirun_is_put_to_hydra_as_one_about_a_run():
    request = read(["-m", "--cfg", "hydra", "--resolve", "seed=1"])
    assert request.asks
    assert request.argv == ["--cfg", "hydra", "--resolve", "seed=1"]


@pytest.mark.parametrize(
    ("came", "meant"),
    [("--mulitrun", "--multirun"), ("--confg-dir", "--config-dir"), ("--resolv", "--resolve")],
)
def test_an_unknown_flag_is_answered_with_the_nearest(came, meant):
    with pytest.raises(UsageFaults, match=f"did you mean '{meant}'"):
        read([came])


@pytest.mark.parametrize(("came", "meant"), [("evla", "eval"), ("reprot", "report")])
def test_an_unknown_command_is_answered_with_the_nearest(came, meant):
    with pytest.raises(UsageFaults, match=f"did you mean '{meant}'"):
        read([came, "seed=1"])


def test_every_word_that_is_no_override_is_named():
    with pytest.raises(UsageFaults) as faults:
        read(["seed=1", "one", "two"])
    assert [line.partition(" ")[0] for line in faults.value.lines] == ["'one'", "'two'"]


def test_the_arguments_of_an_unknown_command_are_not_judged():
    with pytest.raises(UsageFaults) as faults:
        read(["lsit", "hosts"])
    assert len(faults.value.lines) == 1


def test_an_unknown_config_to_show_is_answered_with_those_that_are_known():
    with pytest.raises(UsageFaults, match="did you mean 'job'"):
        read(["--cfg", "jub"])


def test_the_config_dir_flag_is_searched_before_the_folders_of_the_environment(
    tmp_path, monkeypatch
):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(hydra_api.USER_CONF, str(second))
    read(["--config-dir", str(first)])
    assert hydra_api.user_dirs() == [first, second]


def test_a_resumed_run_takes_its_overrides_then_the_new_ones_and_its_folder(tmp_path):
    saved = ["host=mlp", "seed=1", "resume=/elsewhere"]
    folder = run_folder(tmp_path / "0_seed=1,host=mlp", saved)
    request = resumed(read([f"resume={folder}", "seed=2"]))
    assert request.overrides == [
        "host=mlp",
        "seed=1",
        f"resume='{folder}'",
        f"hydra.run.dir='{folder}'",
        "seed=2",
    ]


def test_what_the_run_was_told_already_may_be_said_again(tmp_path):
    folder = run_folder(tmp_path / "run", ["+mine=1", "seed=1"])
    request = resumed(read(["+mine=1", "seed=1", f"resume={folder}"]))
    assert request.overrides == ["+mine=1", "seed=1", *request.overrides[2:4]]


def test_a_request_that_is_resumed_already_stays_as_it_is(tmp_path):
    folder = run_folder(tmp_path / "run", ["seed=1"])
    once = resumed(read([f"resume={folder}"]))
    (folder / ".hydra" / "overrides.yaml").write_text(f"- seed=1\n- resume='{folder}'\n")
    twice = resumed(once)
    assert set(twice.overrides) == set(once.overrides)


@pytest.mark.parametrize("overrides", [[], ["resume=null"]])
def test_without_a_folder_nothing_is_resumed(overrides):
    request = read(overrides)
    assert resumed(request) is request


def test_a_folder_that_is_no_run_cannot_be_resumed(tmp_path):
    with pytest.raises(ConfigFaults, match=r"no run folder: it has no \.hydra/overrides\.yaml"):
        resumed(read([f"resume={tmp_path}"]))


def test_a_run_without_a_checkpoint_cannot_be_resumed(tmp_path):
    folder = run_folder(tmp_path / "run", [], checkpoint=False)
    with pytest.raises(ConfigFaults, match=r"no checkpoints/last\.ckpt"):
        resumed(read([f"resume={folder}"]))


def finished(folder, status):
    (folder / "summary.json").write_text(f'{{"status": "{status}"}}')
    return folder


def saved_at(folder, seconds):
    os.utime(folder / "checkpoints" / "last.ckpt", (seconds, seconds))
    return folder


def test_auto_goes_on_with_the_unfinished_run_of_these_overrides_that_saved_last(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs" / "mine"
    asked = ["name=mine", "seed=3"]
    saved_at(run_folder(runs / "a", asked), 100)
    expected = saved_at(finished(run_folder(runs / "b", asked), "interrupted"), 200)
    saved_at(finished(run_folder(runs / "c", asked), "finished"), 300)
    saved_at(finished(run_folder(runs / "d", asked), "diverged"), 400)
    saved_at(run_folder(runs / "e", ["name=mine", "seed=4"]), 500)
    run_folder(runs / "f", asked, checkpoint=False)
    request = resumed(read(["resume=auto", *asked]))
    assert request.overrides == [f"resume='{expected}'", f"hydra.run.dir='{expected}'", *asked]
    assert capsys.readouterr().err == f"resume=auto: goes on with {expected}\n"


def test_auto_starts_afresh_and_says_so_where_nothing_is_unfinished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    request = resumed(read(["resume=auto", "name=mine"]))
    assert request.overrides == ["name=mine"]
    said = capsys.readouterr().err
    assert said.startswith("resume=auto: no unfinished run of this config in ")
    assert said.count("\n") == 1


def test_auto_looks_at_a_folder_that_is_named_and_at_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved_at(run_folder(tmp_path / "jobs" / "1", []), 200)
    mine = run_folder(tmp_path / "jobs" / "2", [])
    request = resumed(read(["resume=auto", "hydra.run.dir=jobs/2"]))
    assert request.overrides[0] == f"resume='{mine}'"
    request = resumed(read(["resume=auto", "hydra.run.dir=jobs/3"]))
    assert request.overrides == ["hydra.run.dir=jobs/3"]


def test_auto_leaves_a_wrong_config_to_the_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resumed(read(["resume=auto", "host=no_such"])).overrides == ["host=no_such"]


def grown_run(folder, *overrides: str):
    (folder / ".hydra").mkdir(parents=True)
    lines = "".join(f"- {text}\n" for text in overrides)
    (folder / ".hydra" / "overrides.yaml").write_text(lines or "[]\n")
    return folder


def test_a_baseline_takes_the_overrides_of_the_grown_run_then_its_own(tmp_path):
    run = grown_run(tmp_path / "a=1", "experiment=digits_grow", "seed=3", "controller=biggest")
    asked = read(["seed=4", "baseline=static_large", f"baseline.run='{run}'"])
    assert based(asked).overrides == [
        "experiment=digits_grow",
        "seed=3",
        "controller=biggest",
        "seed=4",
        "baseline=static_large",
        f"baseline.run='{run}'",
    ]


def test_what_the_grown_run_was_told_is_not_told_twice(tmp_path):
    run = grown_run(tmp_path / "run", "experiment=digits_grow", "seed=3", "resume=null")
    once = based(read(["experiment=digits_grow", "seed=3", f"baseline.run={run}"]))
    assert once.overrides == ["experiment=digits_grow", "seed=3", f"baseline.run='{run}'"]
    assert based(once) == once


def test_a_baseline_of_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigFaults, match=r"baseline\.run: .* is no run folder"):
        based(read(["baseline=static_small", f"baseline.run={tmp_path}"]))


def test_without_a_baseline_a_request_stays_as_it_is():
    asked = read(["seed=1"])
    assert based(asked) is asked
