"""Races within runs: what they leave alone, what they cost, and what becomes of the winner."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from runs import (
    IMAGES,
    TOKENS,
    VECTORS,
    Keep,
    checkpoint,
    events,
    fit,
    load,
    moves,
    rows,
    run,
    same,
)

from kasmina.callbacks.base import GrowthCallback, the
from kasmina.callbacks.lifecycle import Lifecycle
from kasmina.checkpoints import upgrade
from kasmina.lit import GrowingModule
from kasmina.report.lives import lives_of
from kasmina.report.parse import Fields
from kasmina.report.rows import decision
from kasmina.surgery import Change

RACE = (
    "controller=race",
    "controller.race.steps=2",
    "controller.race.twin=2",
    "controller.race.held_out=16",
    "controller.race.rest=1",
    "pace.tail=0",
    "pace.incubate=1",
    "ramp.ticks=1",
)
DEAR = (*RACE, "controller.race.price_parameters=1000.0")
FREE = (
    *RACE,
    "controller.race.price_parameters=0.0",
    "controller.race.price_flops=0.0",
    "controller.race.confidence=0.0001",  # so that somebody wins
    "controller.race.steps=8",
)


pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Notes(GrowthCallback):
    """The weights and random states of every batch, and the newborns as they are born."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.born: list[dict[str, torch.Tensor]] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GrowingModule)
        host = {name: t.clone() for name, t in pl_module.model.host.state_dict().items()}
        self.steps.append((host, torch.get_rng_state(), batch[0].clone()))

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        if change.event == "germinate":
            seed = module.model.slot(change.site).seed
            assert seed is not None
            self.born.append({name: t.clone() for name, t in seed.state_dict().items()})


@pytest.mark.parametrize("network", [VECTORS, IMAGES, TOKENS], ids=["vectors", "images", "tokens"])
def test_a_run_whose_races_nobody_wins_is_the_run_without_growth_bit_for_bit(
    tmp_path: Path, network: tuple[str, ...]
) -> None:
    notes, short = {}, ("trainer.max_epochs=4", "test=false")
    for name, options in {"none": ("controller=none",), "race": DEAR}.items():
        notes[name] = Notes()
        fit(tmp_path / name, *network, *options, *short, callbacks=(notes[name],))
    assert same(notes["race"].steps, notes["none"].steps)
    left, right = rows(tmp_path / "race"), rows(tmp_path / "none")
    timed = {"wall_s", "train_flops"}
    assert [{**r, **dict.fromkeys(timed)} for r in left] == [
        {**r, **dict.fromkeys(timed)} for r in right
    ]
    told = events(tmp_path / "race")
    held = [(e["tick"], e["event"], e["site"]) for e in told]
    assert held == [(2, "race", "*"), (3, "race", "*")]  # a slot at a time
    assert all("is not surely worth its rent" in e["reason"] for e in told)
    spent = load(tmp_path / "race", "ledger.json")["flops"]
    assert spent["race"] > 0
    assert spent["total"] == pytest.approx(sum(spent[part] for part in spent if part in PARTS))
    without = load(tmp_path / "none", "ledger.json")["flops"]
    assert spent["total"] - spent["race"] == pytest.approx(without["total"], rel=1e-12)


PARTS = {"host", "seeds", "incubation", "evaluation", "race"}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes, Any]:
    """A run in which winners germinate."""
    folder, notes = tmp_path_factory.mktemp("grown"), Notes()
    options = (*VECTORS, *FREE, "trainer.max_epochs=8", "test=false")
    made = fit(folder, *options, callbacks=(notes, Keep(folder)))
    return folder, notes, made


def test_the_winner_is_born_with_the_weights_of_its_race(grown: Any) -> None:
    folder, notes, _ = grown
    state = checkpoint(folder / "checkpoints" / "epoch2.ckpt")["callbacks"]["Lifecycle"]
    assert [d["event"] for d in state["pending"]] == ["germinate", "train"]
    (site,) = {d["site"] for d in state["pending"]}
    assert same(state["weights"], {site: notes.born[0]})
    assert any(bool(t.abs().sum()) for t in notes.born[0].values())
    later = checkpoint(folder / "checkpoints" / "epoch4.ckpt")["callbacks"]["Lifecycle"]
    assert later["weights"] == {}


def test_a_winner_may_be_born_as_any_other_newborn(grown: Any, tmp_path: Path) -> None:
    born = Notes()
    options = (*VECTORS, *FREE, "trainer.max_epochs=8", "test=false")
    fit(tmp_path, *options, "controller.race.keep_weights=false", callbacks=(born,))
    (first, *_), (other, *_) = events(grown[0]), events(tmp_path)
    assert first == other  # the race is the same
    raced, anew = grown[1].born[0], born.born[0]
    assert raced.keys() == anew.keys()
    assert not same(raced, anew)
    silent = {name for name, tensor in anew.items() if not tensor.any()}
    assert silent  # what it puts out has not been trained
    assert any(bool(raced[name].any()) for name in silent)


def test_the_record_has_the_race_before_the_birth_with_the_utility_of_every_candidate(
    grown: Any,
) -> None:
    folder, _, _ = grown
    race, birth, _ = events(folder)[:3]
    assert [(e["tick"], e["event"]) for e in (race, birth)] == [(2, "race"), (2, "germinate")]
    assert race["numbers"]["candidates"] == 1
    assert race["numbers"][f"mlp at {birth['site']}"] == race["numbers"]["utility"]
    assert birth["numbers"]["lower"] == race["numbers"]["lower"] > 0
    parsed = [decision(Fields(event, "events.jsonl")) for event in events(folder)]
    assert [move.event for move in parsed][:2] == ["race", "germinate"]
    assert [life.site for life in lives_of(parsed)][:1] == [birth["site"]]


def test_one_race_fills_several_slots_each_with_the_weights_of_its_winner(tmp_path: Path) -> None:
    notes = Notes()
    both = ("controller.race.shortlist=2", "controller.max_live=2", "trainer.max_epochs=5")
    fit(tmp_path, *VECTORS, *FREE, *both, "test=false", callbacks=(notes, Keep(tmp_path)))
    births = [e for e in events(tmp_path) if e["event"] == "germinate"]
    assert {(e["tick"], e["site"]) for e in births} == {(2, "layers.0"), (2, "layers.1")}
    assert len({e["numbers"]["gain"] for e in births}) == 2
    state = checkpoint(tmp_path / "checkpoints" / "epoch2.ckpt")["callbacks"]["Lifecycle"]
    assert same([state["weights"][e["site"]] for e in births], notes.born)
    whole = shutil.copytree(tmp_path, tmp_path.with_name("whole"))
    saved = tmp_path / "checkpoints"
    shutil.copy(saved / "epoch2.ckpt", saved / "last.ckpt")
    run(tmp_path, *VECTORS, *FREE, *both, "test=false", f"resume={tmp_path}")
    ends = [checkpoint(path / "checkpoints" / "last.ckpt") for path in (tmp_path, whole)]
    assert same(ends[0]["state_dict"], ends[1]["state_dict"])
    assert events(tmp_path) == events(whole)


@pytest.mark.parametrize("max_live", [1, 2])
def test_a_winner_that_spreads_grows_everywhere_and_brings_the_weights_of_its_own(
    tmp_path: Path, max_live: int
) -> None:
    notes, folder = Notes(), tmp_path / "run"
    wide = ("controller.race.spread=2", f"controller.max_live={max_live}", "trainer.max_epochs=9")
    fit(folder, *VECTORS, *FREE, *wide, "test=false", callbacks=(notes, Keep(folder)))
    race, *births = [e for e in events(folder) if e["event"] in {"race", "germinate"}]
    assert race["numbers"]["candidates"] == 1
    assert {e["site"] for e in births} == {"layers.0", "layers.1"}
    assert [e["tick"] for e in births] == ([2, 2] if max_live == 2 else [2, 7])
    saved = folder / "checkpoints"
    state = checkpoint(saved / "epoch2.ckpt")["callbacks"]["Lifecycle"]
    assert same(state["weights"], {births[0]["site"]: notes.born[0]})
    assert state["raced"][0]["others"] == (births[1]["site"],)
    own, other = ({n: bool(t.any()) for n, t in born.items()} for born in notes.born)
    (silent,) = {name for name in own if own[name] != other[name] and name.endswith("weight")}
    assert not other[silent]  # it puts out nothing yet
    whole = shutil.copytree(folder, tmp_path / "whole")
    shutil.copy(saved / "epoch4.ckpt", saved / "last.ckpt")
    run(folder, *VECTORS, *FREE, *wide, "test=false", f"resume={folder}")
    ends = [checkpoint(path / "checkpoints" / "last.ckpt") for path in (folder, whole)]
    assert same(ends[0]["state_dict"], ends[1]["state_dict"])
    assert events(folder) == events(whole)


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_resumed_run_goes_on_across_a_race_bit_for_bit(
    tmp_path: Path, grown: Any, epoch: int
) -> None:
    whole, _, made = grown
    folder = shutil.copytree(whole, tmp_path / "run")
    saved = folder / "checkpoints"
    shutil.copy(saved / f"epoch{epoch}.ckpt", saved / "last.ckpt")
    options = (*VECTORS, *FREE, "trainer.max_epochs=8", "test=false")
    run(folder, *options, f"resume={folder}")
    ends = [checkpoint(path / "checkpoints" / "last.ckpt") for path in (folder, whole)]
    for part in ("state_dict", "optimizer_states", "topology"):
        assert same(ends[0][part], ends[1][part])
    assert events(folder) == events(whole)
    bills = [load(path, "ledger.json")["flops"] for path in (folder, whole)]
    assert bills[0] == bills[1]
    again = Lifecycle(the(made.trainer, Lifecycle).controller)
    again.load_state_dict(ends[0]["callbacks"]["Lifecycle"])
    assert again.raced == the(made.trainer, Lifecycle).raced


def test_candidates_of_a_file_of_format_4_had_their_turns_alone(grown: Any) -> None:
    folder, _, made = grown
    content = checkpoint(folder / "checkpoints" / "epoch2.ckpt")
    content["kasmina"]["format"] = 4
    for entry in content["callbacks"]["Lifecycle"]["raced"]:
        del entry["others"]
    lifecycle = Lifecycle(the(made.trainer, Lifecycle).controller)
    lifecycle.load_state_dict(upgrade(content, folder)["callbacks"]["Lifecycle"])
    assert [entry.others for entry in lifecycle.raced] == [()]


def test_only_the_slots_of_the_best_probe_race_and_the_probe_is_on_the_bill(
    tmp_path: Path,
) -> None:
    spent, raced = {}, {}
    for most in (1, 2):
        folder = tmp_path / str(most)
        shortlist = (f"controller.race.shortlist={most}", "controller.race.twin=20")
        options = (*DEAR, *shortlist, "trainer.max_epochs=3")
        fit(folder, *VECTORS, *options, "blueprint=[mlp,lora]")
        (race,) = events(folder)
        raced[most] = [name for name in race["numbers"] if " at " in name]
        spent[most] = load(folder, "ledger.json")["flops"]["race"]
    assert [len(raced[most]) for most in (1, 2)] == [2, 4]
    assert raced[2][:2] == raced[1]  # the best slot has the first turn
    assert 0 < spent[1] < spent[2]


def test_races_keep_to_their_share_of_the_whole_run(tmp_path: Path) -> None:
    spent, held = {}, {}
    for share in (0.01, 0.4, 0.7):
        folder = tmp_path / str(share)
        ends = ("trainer.max_epochs=999", "callbacks.budget.flops=2e6", "test=false")
        options = (*ends, f"controller.race.share={share}", "controller.race.rest=0")
        fit(folder, *VECTORS, *DEAR, *options, "report=false", "timing.start=1")
        held[share] = sum(e["event"] == "race" for e in events(folder))
        bill = load(folder, "ledger.json")["flops"]
        spent[share] = bill["race"] / bill["total"]
    assert held == {0.01: 1, 0.4: 1, 0.7: 2}
    assert 0.4 < spent[0.7] < 0.7
    (refused,) = events(tmp_path / "0.01")
    assert refused["reason"].startswith("no race is held: it would take ")
    assert refused["numbers"]["expected"] > refused["numbers"]["most"]
    parsed = decision(Fields(refused, "events.jsonl"))
    assert (parsed.event, lives_of([parsed])) == ("race", [])


def test_samples_kept_apart_judge_and_none_of_them_is_trained_on(tmp_path: Path) -> None:
    options = (*DEAR, "data.race_size=16", "trainer.max_epochs=3")
    apart = fit(tmp_path / "apart", *VECTORS, *options)
    assert len(apart.data.dataset("race")) == 16
    fit(tmp_path / "within", *VECTORS, *DEAR, "trainer.max_epochs=3")
    drops = [events(tmp_path / name)[0]["numbers"]["drop"] for name in ("apart", "within")]
    assert drops[0] != drops[1]


def test_a_late_newborn_starts_at_its_own_first_learning_rate_and_ends_with_the_run(
    tmp_path: Path,
) -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[dict[str, float]] = []

        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            groups = trainer.optimizers[0].param_groups
            self.seen.append({group["name"]: group["lr"] for group in groups})

    rates = Rates()
    late = ("timing.start=6", "trainer.max_epochs=9", "scheduler=cosine", "pace.keep_minimum=null")
    fit(tmp_path, *VECTORS, *FREE, *late, callbacks=(rates,))
    born = [seen for seen in rates.seen if len(seen) > 1]
    (site,) = {name for seen in born for name in seen} - {"host"}
    own, host = [s[site] for s in born], [s["host"] for s in born]
    assert own[0] == pytest.approx(rates.seen[0]["host"], rel=0.05)
    assert own[0] > 2 * host[0]
    assert own == sorted(own, reverse=True)
    assert own[-1] < 0.1 * own[0]


def test_a_plan_of_a_race_that_was_rolled_back_leaves_no_weights(grown: Any) -> None:
    from kasmina.rollback import whole

    lifecycle = Lifecycle(the(grown[2].trainer, Lifecycle).controller)
    lifecycle.weights = {"layers.0": {"body.weight": torch.zeros(1)}}
    lifecycle.on_change(grown[2].trainer, grown[2].module, 1, whole("the test wants it", {}))
    assert lifecycle.weights == {}
    assert json.dumps(lifecycle.state_dict()["raced"]) == "[]"
    assert ("*", "race") in {(site, event) for _, site, event in moves(grown[0])}
