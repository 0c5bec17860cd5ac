"""What training spent, and on whom."""

from pathlib import Path
from typing import Any

import pytest
from lightning import LightningModule, Trainer
from runs import IMAGES, TOKENS, VECTORS, fit, load, timeline

from kasmina.callbacks.base import GrowthCallback, the
from kasmina.callbacks.ledger import Ledger
from kasmina.flops import few, step_cost
from kasmina.lit import GrowingModule

LIVES = [
    pytest.param(VECTORS, "layers", "mlp", id="perceptron"),
    pytest.param(IMAGES, "stages", "conv_light", id="convolutions"),
    pytest.param(TOKENS, "blocks", "lora", id="transformer"),
]


class Abacus(GrowthCallback):
    """Counts every step by itself, as the ledger says it does."""

    def __init__(self) -> None:
        self.flops = dict.fromkeys(["host", "seeds", "incubation", "evaluation"], 0.0)
        self.of_seed = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        cost, n = self._cost(pl_module, batch), len(batch[1])
        inside = sum(cost.seeds.values())
        self.flops["host"] += n * (cost.main - inside)
        self.flops["seeds"] += n * inside
        self.flops["incubation"] += n * cost.incubation
        self.of_seed += n * (inside + cost.incubation)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        cost, n = self._cost(pl_module, batch), len(batch[1])
        self.flops["evaluation"] += n * (cost.evaluation + sum(cost.looks.values()))
        self.of_seed += n * sum(cost.looks.values())

    def _cost(self, module: LightningModule, batch: Any) -> Any:
        assert isinstance(module, GrowingModule)
        inputs, targets = few(module.lay_out(batch))
        return step_cost(
            module.model, module.incubation, inputs, lambda out: module.task.loss(out, targets)
        )


def life(kind: str, blueprint: str, *end: str) -> list[str]:
    """One seed: trained in epoch 1, blended from 2 on, then ``end``."""
    site = f"{kind}.0"
    born = [f"1 {site} germinate {blueprint}", f"1 {site} train", f"2 {site} blend"]
    return [*timeline(*born, *end), "controller.pace=null", "ramp.ticks=1", "trainer.max_epochs=6"]


@pytest.mark.parametrize(("network", "kind", "blueprint"), LIVES)
@pytest.mark.parametrize("mode", ["shadow", "ste_ridge"])
def test_the_bill_is_steps_times_samples_times_the_cost_of_a_step(
    tmp_path: Path, network: tuple[str, ...], kind: str, blueprint: str, mode: str
) -> None:
    abacus = Abacus()
    kept = life(kind, blueprint, f"4 {kind}.0 fossilize")
    fit(tmp_path, *network, *kept, f"incubation={mode}", callbacks=(abacus,))
    bill = load(tmp_path, "ledger.json")
    for name, flops in abacus.flops.items():
        assert bill["flops"][name] == flops
    assert bill["flops"]["total"] == sum(abacus.flops.values())
    (seed,) = bill["seeds"]
    assert seed == {
        "site": f"{kind}.0",
        "blueprint": blueprint,
        "germinated_tick": 1,
        "fate": "kept",
        "flops": pytest.approx(abacus.of_seed, rel=1e-12),
    }
    assert bill["flops"]["pruned_seeds"] == 0
    assert abacus.flops["seeds"] > 0
    assert abacus.flops["incubation"] > 0


def test_the_last_batch_counts_by_its_samples(tmp_path: Path) -> None:
    spent = {}
    for size in (50, 64):
        options = (f"data.train_size={size}", "controller=none", "trainer.max_epochs=2")
        run = fit(tmp_path / str(size), *VECTORS, *options)
        spent[size] = the(run.trainer, Ledger).flops["host"]
    assert spent[50] * 64 == spent[64] * 50


def test_a_pruned_seed_stays_on_the_bill(tmp_path: Path) -> None:
    fit(tmp_path, *VECTORS, *life("layers", "mlp", "4 layers.0 prune"))
    bill = load(tmp_path, "ledger.json")
    (seed,) = bill["seeds"]
    assert seed["fate"] == "pruned"
    assert bill["flops"]["pruned_seeds"] == seed["flops"] > 0
    taught = bill["flops"]["seeds"] + bill["flops"]["incubation"]
    assert taught < seed["flops"] < taught + bill["flops"]["evaluation"]  # looks at it as well


def test_a_second_seed_in_a_slot_has_a_bill_of_its_own(tmp_path: Path) -> None:
    again = ("3 layers.0 prune", "5 layers.0 germinate mlp", "5 layers.0 train")
    written = life("layers", "mlp", *again)
    fit(tmp_path, *VECTORS, *written, "callbacks.pruning.cooldown=1")
    first, second = load(tmp_path, "ledger.json")["seeds"]
    assert (first["fate"], second["fate"]) == ("pruned", "open")
    assert (first["germinated_tick"], second["germinated_tick"]) == (1, 5)
    assert first["flops"] > second["flops"] > 0


def test_incubation_at_every_kth_step_costs_a_kth(tmp_path: Path) -> None:
    written = [*timeline("1 layers.0 germinate mlp", "1 layers.0 train"), "controller.pace=null"]
    costs = {}
    for k in (1, 2, 4):
        options = (*written, f"incubation.interval={k}", "trainer.max_epochs=3")
        run = fit(tmp_path / str(k), *VECTORS, *options)
        costs[k] = the(run.trainer, Ledger).flops["incubation"]
    assert costs[1] == 2 * costs[2] == 4 * costs[4] > 0


def test_seeds_in_training_share_one_pass(tmp_path: Path) -> None:
    sites = ("layers.0", "layers.1")
    born = [text for s in sites for text in (f"1 {s} germinate mlp", f"1 {s} train")]
    written = [*timeline(*born), "controller.pace=null", "trainer.max_epochs=3"]
    fit(tmp_path, *VECTORS, *written)
    bill = load(tmp_path, "ledger.json")
    shares = [seed["flops"] for seed in bill["seeds"]]
    assert shares[0] == shares[1]
    assert sum(shares) < bill["flops"]["incubation"] + bill["flops"]["evaluation"]


def test_the_bill_goes_on_where_a_checkpoint_left_it() -> None:
    ledger, again = Ledger(), Ledger()
    seed = {"site": "a", "blueprint": "b", "germinated_tick": 1, "fate": "open", "flops": 2.0}
    ledger.flops["host"], ledger.wall_s, ledger.seeds = 7.0, 3.0, [seed]
    ledger.rewraps = {"count": 2, "seconds": 0.5}
    again.load_state_dict(ledger.state_dict())
    assert again.report() == ledger.report()
    assert again.elapsed == 3.0
