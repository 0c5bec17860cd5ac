"""Write small run folders in the documented format, for the tests of the report."""

import csv
import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kasmina.stage import Event, Stage, after

SIZES = {"conv_heavy": 1850, "conv_light": 620, "se": 140, "norm": 32, "mlp": 900}
"""Parameters of the blueprints in these runs."""

RAMP_TICKS = 5
_NUMBERED = ("tick", "epoch", "step")
_COSTS = ("wall_s", "train_flops", "incubation_flops", "evaluation_flops", "parameters")
_SLOT = ("site", "stage", "alpha", "blueprint", "parameters", "contribution", "seed_loss")


@dataclass(frozen=True)
class Move:
    """One decision of the script; ``blueprint`` only where a seed germinates."""

    tick: int
    site: str
    event: Event
    blueprint: str = ""
    by: str = "controller"
    reason: str = "as scheduled"
    numbers: Mapping[str, float] = field(default_factory=dict)


def life(site: str, blueprint: str, start: int, *, keep: bool = True) -> list[Move]:
    """The moves of one seed from germination to its fate."""
    end = start + 6 + RAMP_TICKS
    last = Move(end, site, Event.FOSSILIZE, reason="held for 3 ticks without harm")
    if not keep:
        harm = {"harm": 0.021, "p": 0.003}
        last = Move(end, site, Event.PRUNE, by="pruning", reason="harms", numbers=harm)
    moves = [
        Move(start, site, Event.GERMINATE, blueprint, reason="validation loss is on a plateau"),
        Move(start, site, Event.TRAIN, by="start"),
        Move(start + 3, site, Event.BLEND, reason="seed loss fell"),
        Move(start + 2 + RAMP_TICKS, site, Event.HOLD, by="ramp"),
        last,
    ]
    if not keep:
        moves.append(Move(end, site, Event.EMBARGO, by="pruning"))
        moves.append(Move(end + 2, site, Event.RELEASE, by="pruning"))
    return moves


@dataclass
class _Slot:
    site: str
    stage: Stage = Stage.DORMANT
    alpha: float = 0.0
    blueprint: str = ""
    since: int = 0

    def move(self, move: Move) -> dict[str, Any]:
        before, self.stage = self.stage, after(self.stage, move.event)
        self.blueprint = move.blueprint or self.blueprint
        if move.event is Event.BLEND:
            self.since = move.tick
            self.advance(move.tick)
        said = {"from": before, "to": self.stage, **self.seed()}
        if self.stage is Stage.PRUNED:
            self.alpha, self.blueprint = 0.0, ""
        return {**said, "alpha": self.alpha}

    def advance(self, tick: int) -> None:
        if self.stage is Stage.BLENDING:
            self.alpha = min(1.0, (tick - self.since + 1) / RAMP_TICKS)

    def seed(self) -> dict[str, Any]:
        return {
            "blueprint": self.blueprint or None,
            "alpha": self.alpha,
            "parameters": SIZES.get(self.blueprint, 0),
        }


@dataclass
class RunFolder:
    """A made-up run. ``write`` plays the script and writes the files.

    Args:
        status: what summary.json says; None leaves summary.json and ledger.json out.
        values: metric name -> one value a tick; made up where it is not given.
    """

    folder: Path
    name: str = "digits_grow"
    seed: int = 0
    ticks: int = 6
    ticks_per_epoch: int = 1
    sites: Sequence[str] = ("stages.0", "stages.1")
    moves: Sequence[Move] = ()
    host: int = 774
    monitor: str = "val/accuracy"
    mode: str = "max"
    status: str | None = "finished"
    overrides: Sequence[str] = ("experiment=digits_grow",)
    config: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    top: float = 0.96
    test: bool = True

    def write(self) -> Path:
        """Write the folder and return it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.slots = [_Slot(site) for site in self.sites]
        self.rng = random.Random(self.seed)
        self.spent = {"main": 0.0, "incubation": 0.0, "evaluation": 0.0}
        self.metrics: list[dict[str, Any]] = []
        self.timeline: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        for tick in range(1, self.ticks + 1):
            self._tick(tick)
        self._write_files()
        return self.folder

    def _when(self, tick: int) -> dict[str, int]:
        return {"tick": tick, "epoch": (tick - 1) // self.ticks_per_epoch, "step": 20 * tick}

    def _tick(self, tick: int) -> None:
        """The network is recorded as it was validated; then alphas move and decisions fall."""
        self.metrics.append({**self._when(tick), **self._costs(tick), **self._values(tick)})
        for slot in self.slots:
            self.timeline.append({**self._when(tick), **self._state(slot)})
            slot.advance(tick)
        for move in (move for move in self.moves if move.tick == tick):
            self._decide(move)

    def _decide(self, move: Move) -> None:
        slot = next(slot for slot in self.slots if slot.site == move.site)
        told = {"event": move.event, "by": move.by, "reason": move.reason}
        said = {**slot.move(move), "site": move.site, "numbers": dict(move.numbers)}
        self.events.append({**self._when(move.tick), **told, **said})

    def _state(self, slot: _Slot) -> dict[str, Any]:
        measured = slot.stage in {Stage.BLENDING, Stage.HOLDING}
        seed = {**slot.seed(), "blueprint": slot.blueprint}
        loss = self.rng.uniform(0.4, 0.5) if slot.stage is Stage.TRAINING else ""
        found = {"contribution": 0.08 if measured else "", "seed_loss": loss}
        return {"site": slot.site, "stage": slot.stage, **seed, **found}

    def _parameters(self) -> int:
        return self.host + sum(SIZES.get(slot.blueprint, 0) for slot in self.slots)

    def _costs(self, tick: int) -> dict[str, Any]:
        size = self._parameters()
        trained = sum(slot.stage is Stage.TRAINING for slot in self.slots)
        self.spent["main"] += 2.1e5 * size
        self.spent["incubation"] += 1.6e5 * size * trained
        self.spent["evaluation"] += 1.1e4 * size
        return {
            "wall_s": 0.9 * tick,
            "train_flops": sum(self.spent.values()),
            "incubation_flops": self.spent["incubation"],
            "evaluation_flops": self.spent["evaluation"],
            "parameters": size,
        }

    def _values(self, tick: int) -> dict[str, float]:
        active = sum(slot.alpha * SIZES.get(slot.blueprint, 0) for slot in self.slots)
        roof = self.top - 0.35 * math.exp(-(0.4 + active / 900))
        learned = roof * (1 - 0.8 * math.exp(-(tick - 1) / 4)) + self.rng.gauss(0, 0.006)
        made = {
            "train/loss": 2.3 * (1.02 - learned),
            "val/loss": 2.4 * (1.04 - learned),
            self.monitor: learned if self.mode == "max" else 4 * (1.1 - learned),
        }
        return {**made, **{name: given[tick - 1] for name, given in self.values.items()}}

    def _write_files(self) -> None:
        _write_csv(self.folder / "metrics.csv", (*_NUMBERED, *_COSTS, *self._names()), self.metrics)
        _write_csv(self.folder / "timeline.csv", (*_NUMBERED, *_SLOT), self.timeline)
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        (self.folder / "events.jsonl").write_text(lines, encoding="utf-8")
        config = {"name": self.name, "seed": self.seed, "host": {"width": 8}, **self.config}
        (self.folder / "config.yaml").write_text(json.dumps(config, indent=2), encoding="utf-8")
        write_json(self.folder / "environment.json", self._environment())
        if self.status is not None:
            write_json(self.folder / "summary.json", self._summary())
            write_json(self.folder / "ledger.json", self._ledger())

    def _names(self) -> list[str]:
        return list(dict.fromkeys(["train/loss", "val/loss", self.monitor, *self.values]))

    def _environment(self) -> dict[str, Any]:
        versions = {"kasmina": "0.1.0", "torch": "2.13.0", "lightning": "2.6.6", "hydra": "1.3.8"}
        machine = {"python": "3.11.9", "platform": "Linux", "cpus": 2, "device": "cpu"}
        command = " ".join(["kasmina", *self.overrides])
        made = {"seed": self.seed, "command": command, "overrides": list(self.overrides)}
        return {**versions, **machine, "git_commit": "0a1b2c3d4e5f", "git_dirty": False, **made}

    def _germinated(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == Event.GERMINATE]

    def _fate(self, born: dict[str, Any]) -> str:
        after_birth = self.events[self.events.index(born) :]
        later = (e["to"] for e in after_birth if e["site"] == born["site"])
        fates = {Stage.FOSSILIZED: "kept", Stage.PRUNED: "pruned"}
        return next((fates[to] for to in later if to in fates), "open")

    def _ledger(self) -> dict[str, Any]:
        seeds = [
            {
                **{"site": e["site"], "blueprint": e["blueprint"], "germinated_tick": e["tick"]},
                **{"fate": self._fate(e), "flops": 3e5 * e["parameters"]},
            }
            for e in self._germinated()
        ]
        pruned = sum(seed["flops"] for seed in seeds if seed["fate"] == "pruned")
        host, other = 0.7 * self.spent["main"], 0.3 * self.spent["main"]
        parts = {"host": host, "seeds": other, **self.spent}
        del parts["main"]
        flops = {**parts, "total": sum(parts.values()), "pruned_seeds": pruned}
        wall = 0.9 * self.ticks
        return {"flops": flops, "wall_s": {"fit": wall, "test": 0.2}, "seeds": seeds}

    def _summary(self) -> dict[str, Any]:
        rows = [row for row in self.metrics if math.isfinite(row[self.monitor])]
        pick = min if self.mode == "min" else max
        best = pick(rows, key=lambda row: row[self.monitor]) if rows else None
        fates = [self._fate(born) for born in self._germinated()]
        ends = {"kept": "kept", "pruned": "pruned", "unfinished": "open"}
        counts = {name: fates.count(fate) for name, fate in ends.items()}
        grown = self._parameters() - self.host
        last = self.metrics[-1]
        return {
            **{"name": self.name, "status": self.status, "seed": self.seed},
            **{"monitor": self.monitor, "mode": self.mode, "controller": "heuristic"},
            "best": best
            and {"value": best[self.monitor], "epoch": best["epoch"], "tick": best["tick"]},
            "final": {name: last[name] for name in self._names()},
            "test": {"test/accuracy": last[self.monitor] - 0.01} if self.test else None,
            "parameters": {"host": self.host, "grown": grown, "total": self.host + grown},
            "seeds": counts,
            **{"epochs": last["epoch"] + 1, "steps": last["step"], "wall_s": last["wall_s"]},
            "flops": last["train_flops"],
            "checkpoints": {"best": "checkpoints/best.ckpt", "last": "checkpoints/last.ckpt"},
        }


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON; nan is written as Python does."""
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _write_csv(path: Path, head: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, head)
        writer.writeheader()
        writer.writerows(rows)
