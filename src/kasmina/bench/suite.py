"""What ``kasmina bench`` measures, as rows of one table."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import perf_counter

import torch
from torch.optim import AdamW

from kasmina.bench import networks
from kasmina.bench.memory import memory_of
from kasmina.bench.networks import Network
from kasmina.bench.steps import OPERATOR, Step, plain, steps_of
from kasmina.bench.timing import Progress, Spread, interleave, ratio, spread
from kasmina.compiling import Compile, compile_in_place
from kasmina.graft import graft
from kasmina.nursery import germinate
from kasmina.optim import add_group, drop_group
from kasmina.stage import Event

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
EAGER, COMPILED = "off", "default"
_MIB = 2**20


@dataclass(frozen=True)
class Plan:
    """What to measure, and how long.

    Args:
        parts: of ``convnet``, ``gpt``, ``slots``, ``germination``.
        modes: of torch.compile, ``off`` and others.
        device: where.
        rounds: measurements of each case.
        quick: tiny networks, to see that it runs.
    """

    parts: Sequence[str] = ("convnet", "gpt", "slots", "germination")
    modes: Sequence[str] = (EAGER, COMPILED)
    device: str = "cpu"
    rounds: int = 20
    quick: bool = False


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        network, layout, compiled, case: what was measured.
        ms: milliseconds, the median.
        base: what the ratio is to.
        ratio, low, high: median and quartiles over rounds.
        mib: peak memory of a step above what was held before, in MiB.
        memory_ratio: to the base.
        target: what the ratio should not pass.
    """

    network: str
    layout: str
    compiled: str
    case: str
    ms: float
    base: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    mib: float | None = None
    memory_ratio: float | None = None
    target: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is kept; None where there is none."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio <= self.target


Say = Callable[[str], Progress]


def measure(plan: Plan, say: Say) -> list[Row]:
    """All rows, one part of the plan after the other; ``say`` is told what begins."""
    parts: dict[str, Callable[[Plan, Progress], list[Row]]] = {
        "convnet": _convnet,
        "gpt": _gpt,
        "slots": _slots,
        "germination": _germination,
    }
    return [row for part in plan.parts for row in parts[part](plan, say(part))]


def _convnet(plan: Plan, progress: Progress) -> list[Row]:
    groups = {
        (name, mode): networks.convnet(quick=plan.quick, device=plan.device, layout=layout)
        for name, layout in LAYOUTS.items()
        for mode in plan.modes
    }
    rows, seconds = _stages(plan, groups, progress)
    base = seconds.get(("contiguous", EAGER, "plain"))
    for mode in plan.modes:
        mine = seconds["channels_last", mode, "plain"]
        if base is not None:
            target = 1.0 if mode != EAGER else None
            row = Row("ConvNet", "channels_last", mode, "plain", _ms(mine), target=target)
            rows.append(_against(row, ratio(mine, base), "contiguous, eager"))
    return rows


def _gpt(plan: Plan, progress: Progress) -> list[Row]:
    network = networks.gpt(quick=plan.quick, device=plan.device)
    return _stages(plan, {("-", mode): network for mode in plan.modes}, progress)[0]


Key = tuple[str, str, str]


def _stages(
    plan: Plan, groups: Mapping[tuple[str, str], Network], progress: Progress
) -> tuple[list[Row], dict[Key, list[float]]]:
    """All cases of all groups in one interleaved run."""
    cases: dict[Key, Step] = {}
    for (layout, mode), network in groups.items():
        for step in steps_of(network, Compile(mode)):  # type: ignore[arg-type]
            cases[layout, mode, step.case] = step
    runs = {"\n".join(key): step.run for key, step in cases.items()}
    timed = interleave(runs, rounds=plan.rounds, warmup=3, progress=progress)
    seconds = {
        key: [value / step.steps for value in timed["\n".join(key)]] for key, step in cases.items()
    }
    peaks = {key: memory_of(step.run, plan.device).peak / _MIB for key, step in cases.items()}
    rows = []
    for key, step in cases.items():
        base = (*key[:2], step.base)
        row = Row(groups[key[:2]].name, *key, ms=_ms(seconds[key]), mib=peaks[key])
        row = replace(row, memory_ratio=peaks[key] / peaks[base], target=step.target)
        rows.append(_against(row, ratio(seconds[key], seconds[base]), step.base))
    return rows, seconds


def _against(row: Row, of: Spread, base: str) -> Row:
    return replace(row, base=base, ratio=of.median, low=of.low, high=of.high)


def _ms(seconds: list[float]) -> float:
    return 1e3 * median(seconds)


def _slots(plan: Plan, progress: Progress) -> list[Row]:
    """Empty slots, 1 to 64, in a host of 64 blocks."""
    depth = 8 if plan.quick else 64
    network = networks.gpt(quick=plan.quick, device=plan.device, depth=depth)
    counts = [count for count in (1, 4, 16, 64) if count <= depth]
    cases: dict[str, Callable[[], None]] = {}
    for mode in plan.modes:
        options = Compile(mode)  # type: ignore[arg-type]
        cases[f"{mode} 0"] = _step(network, plain(network, options))
        for count in counts:
            model = graft(network.make(), network.sites[:count], network.inputs)
            compile_in_place(model, options)
            cases[f"{mode} {count}"] = _step(network, model)
    seconds = interleave(cases, rounds=plan.rounds, warmup=3, progress=progress)
    rows = []
    for mode, count in itertools.product(plan.modes, counts):
        mine, base = seconds[f"{mode} {count}"], seconds[f"{mode} 0"]
        row = Row(network.name, "-", mode, f"{count} empty slots", _ms(mine), target=1.01)
        rows.append(_against(row, ratio(mine, base), "plain"))
    return rows


def _step(network: Network, model: torch.nn.Module) -> Callable[[], None]:
    optimizer = AdamW(model.parameters(), lr=1e-5)

    def run() -> None:
        optimizer.zero_grad()
        network.loss_of(model(network.inputs)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return run


def _germination(plan: Plan, progress: Progress) -> list[Row]:
    """A birth and a prune, with the optimizer's group."""
    hosts = [
        networks.convnet(quick=plan.quick, device=plan.device, layout=torch.contiguous_format),
        networks.gpt(quick=plan.quick, device=plan.device),
    ]
    return [row for network in hosts for row in _births(plan, network, progress)]


def _births(plan: Plan, network: Network, progress: Progress) -> Iterator[Row]:
    model = graft(network.make(), network.sites, network.inputs)
    optimizer = AdamW([{"name": "host", "params": list(model.host.parameters())}])
    site = network.sites[len(network.sites) // 2]
    births, prunes = [], []
    for done in range(plan.rounds):
        started = perf_counter()
        slot = germinate(model, site, blueprint=network.blueprint, operator=OPERATOR, run_seed=done)
        add_group(optimizer, None, name=site, seed=slot, own={})
        born = perf_counter()
        drop_group(optimizer, site)
        slot.move(Event.PRUNE)
        births.append(born - started)
        prunes.append(perf_counter() - born)
        slot.move(Event.EMBARGO)
        slot.move(Event.RELEASE)
        progress(done + 1, plan.rounds)
    for case, seconds in (("germinate", births), ("prune", prunes)):
        yield Row(network.name, "-", EAGER, case, 1e3 * spread(seconds).median)


def plain_rows(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows as mappings, for a file."""
    return [{**asdict(row), "reached": row.reached} for row in rows]
