"""What does a compiled network pay for a moving alpha, and for whole lives? Re-runs the study."""

import argparse
import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from alpha_networks import ARMS, EVENTS, Naive, Ours, Task, Watched, tasks
from alpha_picture import draw
from alpha_ways import WAYS, Way
from torch import nn
from torch._inductor.utils import fresh_cache

from kasmina.bench.sheet import Row, machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import interleave, ratio
from kasmina.compile_meter import Compiled, CompileMeter

HERE = Path(__file__).parent
LIMIT = 8  # torch's own
ABOUT_ITSELF = (".*autograd.function.Function.* should not be inst", "The .grad attribute", ".*jit")

LOOKS = (("start",), EVENTS[:3], (*EVENTS[3:], "fossilize"))
"""Moves up to each look at the step time: dormant, blending, fossilized."""

CELLS = (
    *("at", "backend", "limit", "changes", "eager"),
    *("graphs", "recompiles", "breaks", "seconds", "time", "low", "high"),
)
"""``eager``: steps that ran without a graph; ``time``: of a step, a ratio with its quartiles."""

Done = list[tuple[str, Compiled, bool]]
"""A change, what was compiled for it, and whether the step after it ran without any graph."""


@contextmanager
def metered(**config: Any) -> Iterator[CompileMeter]:
    """No graphs from before, no caches on disk, and these settings of dynamo for a while."""
    torch.compiler.reset()
    meter = CompileMeter()
    meter.start()
    own = {"recompile_limit": LIMIT, "accumulated_recompile_limit": 256}
    settings = own | {"fail_on_recompile_limit_hit": False} | config
    with (
        torch._dynamo.config.patch(settings),
        fresh_cache(),
    ):
        yield meter
    meter.stop()
    torch.compiler.reset()


def row(part: str, network: str, way: str, **cells: object) -> Row:
    about = {"part": part, "network": network, "way": way}
    return about | dict.fromkeys(CELLS, "") | cells


def counts(done: Done) -> dict[str, object]:
    """Sums over changes."""
    sums = {key: sum(asdict(d)[key] for _, d, _ in done) for key in asdict(Compiled())}
    return {"changes": len(done), "eager": sum(eager for *_, eager in done), **sums}


def times(case: list[float], base: list[float]) -> dict[str, object]:
    share = ratio(case, base)
    return {"time": share.median, "low": share.low, "high": share.high}


# Part 1: a hundred values of alpha


def ways(options: argparse.Namespace, *, small: bool) -> tuple[dict[str, Way], torch.Tensor]:
    torch.manual_seed(0)
    channels, size = (2, 4) if small else (16, 32)
    made = {
        name: way(nn.Conv2d(channels, channels, 3, padding=1).to(options.device))
        for name, way in WAYS.items()
    }
    x = torch.randn(32, channels, size, size, device=options.device, requires_grad=True)
    return made, x


def moved(
    way: Way, step: Callable[[], object], *, runs: Callable[[], int], meter: Any, changes: int
) -> Done:
    """Alpha goes up in equal parts, with a training step after each."""
    done: Done = []
    for change in range(changes):
        way.set((change + 1) / changes)
        before = runs()
        step()
        done.append(("alpha", meter.take(), runs() == before))
    return done


def trained(call: Callable[..., torch.Tensor], x: torch.Tensor) -> Callable[[], object]:
    return lambda: call(x).square().mean().backward()


def counted_ways(options: argparse.Namespace) -> Iterator[tuple[Row, Done]]:
    """Each way at torch's limit; once more without it where it went on eagerly."""
    made, x = ways(options, small=True)
    for name, way in made.items():
        for limit in (LIMIT, 2 * options.changes):
            print(f"{name}: limit {limit}", flush=True)
            with metered(recompile_limit=limit) as meter:
                backend = Watched("aot_eager")
                step = trained(torch.compile(way.forward, backend=backend), x)
                step()
                done = [("start", meter.take(), False)]
                runs = functools.partial(getattr, backend, "runs")
                done += moved(way, step, runs=runs, meter=meter, changes=options.changes)
            cells = {"backend": "aot_eager", "limit": limit, **counts(done[1:])}
            yield row("alpha", "one seed", name, at="changes", **cells), done
            if not cells["eager"]:
                break


def timed_ways(options: argparse.Namespace) -> Iterator[Row]:
    """Step times while alpha holds still: before the changes, and after them at torch's limit."""
    made, x = ways(options, small=options.quick)
    with metered() as meter:
        steps = {
            name: trained(torch.compile(way.forward, backend=options.backend), x)
            for name, way in made.items()
        }
        done: dict[str, Done] = {}
        for name, step in steps.items():
            step()
            done[name] = [("start", meter.take(), False)]
        steps["eager"] = trained(made["buffer filled"].forward, x)
        yield from compared("start", steps, done, options)
        for name, way in made.items():
            print(f"{name}: {options.changes} changes, {options.backend}", flush=True)
            about = {"runs": lambda: 0, "meter": meter, "changes": options.changes}
            done[name] = moved(way, steps[name], **about)
        yield from compared("changes", steps, done, options)


def compared(
    at: str, steps: dict[str, Any], done: dict[str, Done], options: argparse.Namespace
) -> Iterator[Row]:
    seconds = interleave(steps, rounds=options.rounds, number=options.number)
    for name in steps:
        cells = {"at": at, "backend": options.backend, "limit": LIMIT}
        if name in done:
            cells |= counts(done[name]) | {"eager": ""}
        cells |= times(seconds[name], seconds["buffer filled"])
        yield row("alpha", "one seed", name, **cells)


# Part 2: whole lives


def lived(net: Ours | Naive, task: Task, meter: CompileMeter, backend: Watched) -> Done:
    """Each slot in turn has a seed that is pruned, then each one that stays."""
    net.train()
    net.evaluate()
    done: Done = [("start", meter.take(), False)]
    for recipe, end in zip(task.blueprints, ("prune", "fossilize"), strict=True):
        for site in net.sites:
            for event in (*EVENTS, end):
                net.move(site, event, recipe)
                before = backend.runs
                net.train()
                net.evaluate()
                done.append((event, meter.take(), backend.runs == before))
    return done


def counted_lives(name: str, task: Task) -> Iterator[tuple[str, list[Row], Done]]:
    for arm, (kind, scope) in ARMS.items():
        print(f"{name}: {arm}, lives", flush=True)
        with metered(fail_on_recompile_limit_hit=kind is Ours) as meter:
            backend = Watched("aot_eager")
            done = lived(kind(task, scope, backend), task, meter, backend)
        groups = {"all": done[1:]} | {
            at: [each for each in done if each[0] == at] for at in dict.fromkeys(d[0] for d in done)
        }
        about = {"backend": "aot_eager", "limit": limit_of(arm)}
        rows = [row("lives", name, arm, at=at, **about, **counts(g)) for at, g in groups.items()]
        yield arm, rows, done


def timed_lives(name: str, task: Task, options: argparse.Namespace) -> Iterator[Row]:
    """One life in the last slot, training steps alone: seconds of compiling, then step times."""
    with metered() as meter:
        nets = {arm: kind(task, scope, options.backend) for arm, (kind, scope) in ARMS.items()}
        nets["eager"] = Ours(task, "", options.backend)
        for events in LOOKS:
            print(f"{name}: step times after {events[-1]}", flush=True)
            done = {arm: counts([reached(net, task, events, meter)]) for arm, net in nets.items()}
            cases = {arm: net.train for arm, net in nets.items()}
            seconds = interleave(cases, rounds=options.rounds)
            for arm in nets:
                about = {"at": events[-1], "backend": options.backend, "limit": limit_of(arm)}
                cells = done[arm] | {"eager": ""} | times(seconds[arm], seconds["eager"])
                yield row("lives", name, arm, **about, **cells)


def reached(net: Ours | Naive, task: Task, events: tuple[str, ...], meter: CompileMeter) -> Any:
    """Moves, and one training step after the last."""
    for event in events:
        if event != "start":
            net.move(net.sites[-1], event, task.blueprints[1])
    # kasmina makes it an error for the process; a naive slot goes on in silence
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=isinstance(net, Ours)):
        net.train()
    return events[-1], meter.take(), False


def limit_of(arm: str) -> int | str:
    return LIMIT if ARMS.get(arm, (Ours,))[0] is Naive else "own"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=31)
    options = parser.parse_args(argv)
    options.changes = 10 if options.quick else 100
    options.number = 1 if options.quick else 5
    options.backend = "aot_eager" if options.quick else "inductor"
    return options


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    about = machine()
    print(about)
    with warnings.catch_warnings():
        for said in ABOUT_ITSELF:  # what torch's compiler says about torch
            warnings.filterwarnings("ignore", said)
        counted = list(counted_ways(options))
        rows = [*(each for each, _ in counted), *timed_ways(options)]
        alphas = {each["way"]: done for each, done in counted}
        lives: dict[tuple[str, str], Done] = {}
        large = tasks(options.device, small=options.quick, quick=options.quick)
        for name, task in tasks(options.device, small=True, quick=options.quick).items():
            for arm, more, done in counted_lives(name, task):
                lives[name, arm] = done
                rows += more
            rows += timed_lives(name, large[name], options)
    cuda = torch.device(options.device).type == "cuda"
    end = suffix(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(options.out / f"results{end}.csv", rows)
    device = str(about["device"]) if cuda else "CPU"
    draw(rows, alphas, lives, options.out / f"recompiles{end}.png", device)
    print(markdown(rows))


if __name__ == "__main__":
    main()
