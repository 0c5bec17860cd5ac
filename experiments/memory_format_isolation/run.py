"""Is channels_last worth it with isolated seeds, and is a copy before detach needed?

One seed sits behind the second stage of a ConvNet. It trains by the shadow pass, or blends with
its input detached. Each round times every case once, so that only ratios within rounds are used.

Usage: python experiments/memory_format_isolation/run.py [--device cuda] [--rounds 11]
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
import yaml
from torch import Tensor, nn

from kasmina.bench.memory import Memory, memory_of
from kasmina.bench.sheet import machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import Spread, interleave, ratio
from kasmina.graft import Grafted, graft
from kasmina.hosts.convnet import ConvNet
from kasmina.incubation import Shadow
from kasmina.layout import GroupNorm
from kasmina.nursery import germinate
from kasmina.ramp import Ramp
from kasmina.recipe import Recipe
from kasmina.site import Site
from kasmina.stage import Event

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
CONF = HERE.parents[1] / "conf" / "blueprint"
BLUEPRINTS = ("norm", "se", "depthwise", "bottleneck", "conv_light", "conv_heavy")
WAYS = ("shadow", "blending")
ARMS = ("contiguous", "channels_last", "channels_last, copied")
EDGES = [("norm", 45), ("norm", 46)]  # 2,025 and 2,116 pixels
SITE, CLASSES = "stages.1", 10
MIB = 2**20

Row = dict[str, str | int | float]
Step = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """A host and its batch."""

    name: str
    widths: tuple[int, ...]
    blocks: int
    batch: int
    pixels: int = 32


SIZES = (
    Size("small", (16, 32), 1, 16),
    Size("medium", (32, 64, 128), 1, 8),
    Size("large", (64, 128, 256), 1, 4),
)
TINY = Size("small", (8, 8), 1, 4, 8)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, then write the table and the picture."""
    options = arguments(argv)
    device = torch.device(options.device)
    sizes = (TINY,) if options.quick else SIZES
    blueprints = BLUEPRINTS[:2] if options.quick else BLUEPRINTS
    rows: list[Row] = []
    for size in sizes:
        print(f"eager, {size.name} host", flush=True)
        rows += study(size, blueprints, device, options.rounds, backend=None)
    print("compiled, small host", flush=True)
    some, backend = (
        (("se",), "aot_eager") if options.quick else (("norm", "conv_light"), "inductor")
    )
    rows += study(sizes[0], some, device, options.rounds, backend=backend)
    options.out.mkdir(parents=True, exist_ok=True)
    end = suffix(options.device)
    write_csv(options.out / f"results{end}.csv", rows)
    draw([row for row in rows if row["mode"] == "eager"], options.out / f"formats{end}.png")
    print(markdown(rows))
    tried = crashes([("norm", 8)] if options.quick else [(n, 8) for n in BLUEPRINTS] + EDGES)
    write_csv(options.out / "crashes.csv", tried)
    print(markdown(tried), machine(), sep="\n")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=11)
    return parser.parse_args(argv)


# --- what is measured ---


def study(
    size: Size,
    blueprints: Sequence[str],
    device: torch.device,
    rounds: int,
    *,
    backend: str | None,
) -> list[Row]:
    """Every way, blueprint and arm on one host, and the bare host in both formats."""
    arms = ARMS if backend is None else ARMS[:2]
    keys = [(way, blueprint, arm) for way in WAYS for blueprint in blueprints for arm in arms]
    if backend is not None:
        keys = [key for key in keys if key[0] == "blending"]  # shadow would double the compiling
    keys = [("bare", "-", arm) for arm in ARMS[:2]] + keys
    cases = {"|".join(key): case(size, *key, device=device, backend=backend) for key in keys}
    seconds = interleave(cases, rounds=rounds)
    memory = {name: memory_of(step, device) for name, step in cases.items()}
    mode = "eager" if backend is None else "compiled"
    return [{"mode": mode, **row(size, key, seconds, memory)} for key in keys]


def row(
    size: Size,
    key: tuple[str, str, str],
    seconds: Mapping[str, list[float]],
    memory: Mapping[str, Memory],
) -> Row:
    """Step time and memory over the bare host of the format, over the same case in a contiguous
    host, and over the same case without the copy."""
    way, blueprint, arm = key
    name, twin = "|".join(key), "|".join((way, blueprint, "contiguous"))
    bare = "|".join(("bare", "-", arm.partition(",")[0]))
    plain = "|".join((way, blueprint, arm.partition(",")[0]))
    peak = memory[name].peak
    return {
        "host": size.name,
        "way": way,
        "blueprint": blueprint,
        "arm": arm,
        **spelled("over_bare", ratio(seconds[name], seconds[bare])),
        **spelled("over_contiguous", ratio(seconds[name], seconds[twin])),
        **spelled("over_uncopied", ratio(seconds[name], seconds[plain])),
        "peak_mib": peak / MIB,
        "peak_over_contiguous": peak / memory[twin].peak,
        "peak_over_uncopied": peak / memory[plain].peak,
        "allocated_over_contiguous": memory[name].allocated / memory[twin].allocated,
    }


def spelled(name: str, spread: Spread) -> Row:
    return {name: spread.median, f"{name}_low": spread.low, f"{name}_high": spread.high}


def case(
    size: Size, way: str, blueprint: str, arm: str, *, device: torch.device, backend: str | None
) -> Step:
    """A training step without the optimizer's part, which no format touches."""
    last = arm != "contiguous"
    order = torch.channels_last if last else torch.contiguous_format
    torch.manual_seed(0)
    host = ConvNet(in_channels=3, num_classes=CLASSES, widths=size.widths, blocks=size.blocks)
    host.to(device=device, memory_format=order)  # type: ignore[call-overload]
    inputs = torch.randn(size.batch, 3, size.pixels, size.pixels, device=device)
    inputs = inputs.contiguous(memory_format=order)
    targets = torch.arange(size.batch, device=device) % CLASSES
    model: nn.Module = host
    if way != "bare":
        model = with_seed(host, inputs, way, blueprint)
        if arm.endswith("copied"):
            model.slot(SITE).seed.register_forward_pre_hook(copy_first)  # type: ignore[operator]
    if backend is not None:
        host.compile(backend=backend, fullgraph=True)
    return lambda: step(model, inputs, targets)


def with_seed(host: nn.Module, inputs: Tensor, way: str, blueprint: str) -> Grafted:
    model = graft(host, [SITE], inputs, isolate=True)
    add = Recipe("blend", "kasmina.blend.Add")
    slot = germinate(model, SITE, blueprint=recipe(blueprint), operator=add, run_seed=0)
    slot.move(Event.TRAIN)
    if way == "blending":
        slot.move(Event.BLEND, Ramp(ticks=2))
    return model


def recipe(name: str) -> Recipe:
    return Recipe.of(name, yaml.safe_load((CONF / f"{name}.yaml").read_text()))


def copy_first(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a system does that takes the crash for one of channels_last and detach as such."""
    h, *rest = args
    return (h.clone(memory_format=torch.contiguous_format), *rest)


def step(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    def loss_of(outputs: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets)

    model.zero_grad()
    loss = loss_of(model(inputs))
    extra = Shadow().loss(model, inputs, loss_of, 0) if isinstance(model, Grafted) else None
    (loss if extra is None else loss + extra).backward()


# --- whether the copy is needed ---

UNGUARDED = """
import sys, torch
sys.path.insert(0, {folder!r})
import run
run.unguarded({blueprint!r}, {pixels})
"""


def crashes(cases: Sequence[tuple[str, int]]) -> list[Row]:
    """The exit status of a detached channels_last step on the CPU without any guard."""
    tried: list[Row] = []
    for blueprint, pixels in cases:
        code = UNGUARDED.format(folder=str(HERE), blueprint=blueprint, pixels=pixels)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        tried.append({"blueprint": blueprint, "pixels": pixels**2, "status": done.returncode})
    return tried


def unguarded(blueprint: str, pixels: int) -> None:
    """Forward and backward of a seed whose GroupNorm is torch's own."""
    GroupNorm.forward = nn.GroupNorm.forward  # type: ignore[method-assign]
    h = torch.randn(4, 16, pixels, pixels).contiguous(memory_format=torch.channels_last)
    recipe(blueprint).build(Site.of("here", tuple(h.shape)))(h).sum().backward()


# --- the picture ---


def draw(rows: Sequence[Row], path: Path) -> None:
    """Time and peak memory of channels_last over contiguous, by host, blueprint and way."""
    hosts = list(dict.fromkeys(str(row["host"]) for row in rows))
    figure, axes = plt.subplots(
        2, len(hosts), figsize=(1 + 4.2 * len(hosts), 6.6), sharey="row", sharex=True, squeeze=False
    )
    for column, host in enumerate(hosts):
        here = [row for row in rows if row["host"] == host]
        panel(axes[0][column], here, "over_contiguous")
        panel(axes[1][column], here, "peak_over_contiguous")
        axes[0][column].set_title(f"{host} host")
        axes[1][column].tick_params(axis="x", rotation=45)
    axes[0][0].set_ylabel("step time,\nchannels_last / contiguous")
    axes[1][0].set_ylabel("peak memory,\nchannels_last / contiguous")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False
    )
    figure.suptitle("Isolated seeds: channels_last over contiguous (below 1 it is faster, smaller)")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def panel(axis: plt.Axes, rows: Sequence[Row], value: str) -> None:
    names = list(dict.fromkeys(str(row["blueprint"]) for row in rows))
    for shift, (label, chosen) in zip((-0.24, -0.08, 0.08, 0.24), series(rows), strict=True):
        xs = [names.index(str(row["blueprint"])) + shift for row in chosen]
        ys = [float(row[value]) for row in chosen]
        low = [y - float(row.get(f"{value}_low", y)) for y, row in zip(ys, chosen, strict=True)]
        high = [float(row.get(f"{value}_high", y)) - y for y, row in zip(ys, chosen, strict=True)]
        hollow = {"mfc": "none"} if "copied" in label else {}
        color = "tab:blue" if label.startswith("shadow") else "tab:orange"
        axis.errorbar(xs, ys, yerr=[low, high], fmt="o", color=color, label=label, **hollow)
    (bare,) = (row for row in rows if row["way"] == "bare" and row["arm"] == "channels_last")
    axis.axhline(float(bare[value]), color="gray", linestyle=":", label="bare host")
    axis.axhline(1, color="black", linewidth=0.8)
    axis.set_xticks(range(len(names)), names)
    axis.set_xlim(0.5, len(names) - 0.5)  # the bare host is the dotted line


def series(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for way in WAYS:
        for arm in ARMS[1:]:
            label = f"{way}{arm.removeprefix('channels_last')}"
            yield label, [row for row in rows if row["way"] == way and row["arm"] == arm]


if __name__ == "__main__":
    main()
