"""``kasmina probe``, and the method behind it, on a network that has trained."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import IMAGES, VECTORS, fit, run

from kasmina import hydra_api
from kasmina.lit import GrowingModule
from kasmina.nursery import germinate
from kasmina.probe.gradmax import GradMax
from kasmina.probe.lot import Random
from kasmina.probed import COLUMNS
from kasmina.probing import answer, criterion_of, parser, rebuilt, training_batches
from kasmina.usage import UsageFaults

SHORT = ("controller=none", "trainer.max_epochs=1", "test=false")
MORE = "blueprint=[conv_light,norm,mlp]"  # one of which fits no map


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("probed"), *IMAGES, *SHORT, MORE)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def asked(*arguments: str) -> None:
    answer(parser().read(list(arguments)))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_it_prints_the_ranking_and_writes_table_and_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(f"ckpt={folder}", "--batches", "2", "--out", str(tmp_path / "out"))
    said = capsys.readouterr().out
    found = rows(tmp_path / "out" / "probe.csv")
    assert tuple(found[0]) == COLUMNS
    places = {(row["site"], row["blueprint"]) for row in found}
    assert places == {(f"stages.{n}", b) for n in (0, 1) for b in ("conv_light", "norm")}
    values = [float(row["score"]) for row in found]
    assert values == sorted(values, reverse=True)
    ranked = [line.split()[1:3] for line in said.splitlines()[1:5]]
    assert ranked == [[row["site"], row["blueprint"]] for row in found]
    assert "FLOPs over 32 samples" in said
    assert "training steps of 16 samples, for 4 candidates" in said
    assert (tmp_path / "out" / "probe.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_folder_the_files_lie_in_the_run_and_the_run_is_not_changed(folder: Path) -> None:
    checkpoint = folder / "checkpoints" / "last.ckpt"
    before = checkpoint.read_bytes()
    asked(str(checkpoint), "--batches", "1", "--criterion", "random")
    assert (folder / "probe.png").is_file()
    assert checkpoint.read_bytes() == before


def test_every_option_of_the_group_is_built_and_judges(folder: Path) -> None:
    module, data, config = rebuilt(folder / "checkpoints" / "last.ckpt")
    batches = list(training_batches(module, data, 1))
    names = hydra_api.options("criterion")
    found = {
        name: module.probe(batches, criterion=criterion_of(name, config)).scores for name in names
    }
    assert set(found) == {"dual", "gradmax", "natural", "random"}
    assert found["dual"] == module.probe(batches).scores  # the optimizer is read from the config
    orders = {tuple(score.value for score in scores) for scores in found.values()}
    assert len(orders) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ckpt=nowhere"], "no checkpoint: nowhere is no file"),
        (["ckpt={folder}", "--batches", "0"], "--batches: at least 1; 0 came"),
        (["ckpt={folder}", "--micro-batches", "0"], "--micro-batches: at least 1; 0 came"),
        (["ckpt={folder}", "--criterion", "daul"], "unknown criterion 'daul'; did you mean 'dual'"),
        (["ckpt={folder}", "--batch", "1"], "unknown flag '--batch'; did you mean '--batches'"),
    ],
)
def test_a_wrong_argument_is_one_line(folder: Path, arguments: list[str], says: str) -> None:
    with pytest.raises((ValueError, UsageFaults), match=says) as refusal:
        asked(*(text.format(folder=folder) for text in arguments))
    assert "\n" not in str(refusal.value)


def test_a_network_without_an_empty_slot_is_refused(tmp_path: Path) -> None:
    planted = "slots.planted={layers.0:mlp,layers.1:mlp}"
    full = run(tmp_path / "full", *VECTORS, *SHORT, planted)
    with pytest.raises(ValueError, match="no empty slot that a blueprint of its config fits"):
        asked(str(full))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fit(tmp_path_factory.mktemp("trained"), *VECTORS, *SHORT, "optimizer=sgd")


def batches(trained: Any) -> list[Any]:
    return [trained.data.dataset("train")[torch.arange(16)]]


def test_a_module_probes_with_its_own_growth_task_and_optimizer(trained: Any) -> None:
    module: GrowingModule = trained.module
    found = module.probe(batches(trained))
    assert {score.blueprint for score in found.scores} == set(module.growth.blueprints)
    best = found.scores[0]
    inputs, targets = batches(trained)[0]
    recipe = module.growth.blueprints[best.blueprint]
    growth = module.growth
    germinate(
        module.model,
        best.site,
        blueprint=recipe,
        operator=growth.operator,
        run_seed=growth.run_seed,
    )
    slot = module.model.slot(best.site)
    slot.seed.wake(True)
    module.task.loss(module.model(inputs, alphas={best.site: 1.0}), targets).backward()
    grads = [p.grad for p in slot.parameters() if p.grad is not None]
    assert best.value == pytest.approx(sum(float(g.square().sum()) for g in grads), rel=1e-4)


def test_a_module_takes_another_criterion(trained: Any) -> None:
    by_lot = trained.module.probe(batches(trained), criterion=Random(seed=4))
    by_norm = trained.module.probe(batches(trained), criterion=GradMax())
    assert by_lot.flops == 0 < by_norm.flops
