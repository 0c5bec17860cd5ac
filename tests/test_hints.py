import pytest

from kasmina import hydra_api
from kasmina.hints import diagnose


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(hydra_api.USER_CONF, raising=False)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("host=gtp", "host: unknown option 'gtp'; did you mean 'gpt'?"),
        ("blueprint=[se,sse]", "blueprint: unknown option 'sse'; did you mean 'se'?"),
        ("experiment=nothing_near", "experiment: unknown option 'nothing_near'; possible: "),
        ("hots=gpt", "hots: unknown key; did you mean 'host'?"),
        ("trainer.max_epoch=3", "did you mean 'trainer.max_epochs'?"),
        ("lr=0.1", "lr: unknown key; did you mean 'optimizer.lr'?"),
        ("ramp.zzz=1", "ramp.zzz: unknown key; possible: ramp.curve, ramp.target, ramp.ticks"),
        ("foo.bar=1", "foo.bar: unknown key; there is nothing below 'foo'"),
        ("+seed=1", "seed: is there already; write it without +"),
        ("~nope", "nope: unknown key"),
        ("seed=[1", "'seed=[1' is no override; write key=value"),
        ("seed=1,2", "'seed=1,2': several values need -m"),
        ("hydra.run.dirr=x", "hydra.run.dirr"),
        ("hydra/sweeper=nope", "hydra/sweeper: unknown option 'nope'"),
        ("host@other=gpt", "host@other"),
    ],
)
def test_a_wrong_override_is_named_with_what_was_meant(override, said):
    diagnosis = diagnose([override])
    (fault,) = diagnosis.faults
    assert said in fault
    assert "\n" not in fault
    assert diagnosis.good == []


def test_every_wrong_override_is_named_and_the_right_ones_are_kept():
    diagnosis = diagnose(["seed=2", "host=gtp", "nmae=x", "name=y", "seed=[1"])
    assert len(diagnosis.faults) == 3
    assert diagnosis.good == ["seed=2", "name=y"]


def test_keys_below_an_unknown_option_are_not_judged():
    diagnosis = diagnose(["host=gtp", "host.depth=3"])
    assert len(diagnosis.faults) == 1


def test_a_mistake_inside_a_users_file_is_told_with_the_file(tmp_path):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "broken.yaml").write_text("# @package _global_\ntags: [\n")
    (folder / "wrong.yaml").write_text("# @package _global_\ndefaults:\n  - override /host: gtp\n")
    (broken,) = diagnose(["experiment=broken"]).faults
    (wrong,) = diagnose(["experiment=wrong"]).faults
    assert f"{folder}/broken.yaml, line 3: " in broken
    assert "unknown option of host 'gtp'; did you mean 'gpt'?" in wrong


def test_a_broken_root_is_told_alone(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "train.yaml").write_text("defaults:\n  - host: nope\n")
    diagnosis = diagnose(["seed=1"])
    assert not diagnosis.composes
    (fault,) = diagnosis.faults
    assert "unknown option of host 'nope'" in fault
    assert f"searched before ours: {tmp_path}/conf" in fault
