"""Is ``.contiguous()`` needed where attention merges its heads? Re-runs the whole study.

Letters: B batch, H heads, T tokens, D features per head, C = H * D width.
"""

import argparse
import functools
import itertools
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from kasmina.attention import BACKENDS, SelfAttention, attend, runnable
from kasmina.bench.memory import memory_of
from kasmina.bench.sheet import Row, machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import interleave, ratio

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent

MERGES: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda heads: heads.contiguous().view(*heads.shape[:2], -1),
    "reshape": lambda heads: heads.reshape(*heads.shape[:2], -1),
    "flatten": lambda heads: heads.flatten(2),
    "view": lambda heads: heads.view(*heads.shape[:2], -1),
}
"""What turns (B, T, H, D), a transposed view of the heads, into (B, T, C)."""

AGAIN = "contiguous again"
"""The base timed a second time: its ratio is the noise of the machine."""

COLUMNS = ("time", "low", "high", "bytes", "peak", "copied", "difference")
"""Of the table, after those that name the case: time with quartiles as a ratio to ``contiguous``,
bytes of a pass, share of the heads that the merge copies, largest difference to ``math``."""

COLOURS = {AGAIN: "#999999", "reshape": "#0072B2", "flatten": "#D55E00", "view": "#009E73"}

Step = Callable[[], tuple[Tensor, ...]]


def split(attention: SelfAttention, x: Tensor) -> tuple[Tensor, ...]:
    """Queries, keys and values (B, H, T, D), views of one projection."""
    return attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).transpose(1, 3).unbind(2)


def forward(attention: SelfAttention, x: Tensor, merge: Callable[[Tensor], Tensor]) -> Tensor:
    """``SelfAttention.forward`` with the merge left open."""
    q, k, v = split(attention, x)
    heads = attend(q, k, v, backend=attention.backend, causal=True)
    return attention.proj(merge(heads.transpose(1, 2)))


def step(attention: SelfAttention, x: Tensor, name: str, *, training: bool, compiled: str) -> Step:
    """One forward, in training with the gradients of the input and of every weight.

    Args:
        compiled: by this backend of torch.compile; empty: eager.
    """
    call = functools.partial(forward, merge=MERGES[name])
    if compiled:
        call = torch.compile(call, fullgraph=True, dynamic=False, backend=compiled)

    def run() -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(training):
            out = call(attention, x)
        if not training:
            return (out,)
        return (out, *torch.autograd.grad(out, [x, *attention.parameters()], torch.ones_like(out)))

    return run


def module(backend: str, options: argparse.Namespace) -> SelfAttention:
    torch.manual_seed(0)
    attention = SelfAttention(options.width, options.heads, backend=backend)
    return attention.to(options.device, options.dtype)


def example(options: argparse.Namespace, *, training: bool) -> Tensor:
    torch.manual_seed(1)
    x = torch.randn(options.batch, options.tokens, options.width)
    return x.to(options.device, options.dtype).requires_grad_(training)


def copied(attention: SelfAttention, x: Tensor, name: str) -> float:
    """Bytes that the merge alone allocates, as a share of the heads'."""
    with torch.set_grad_enabled(x.requires_grad):
        q, k, v = split(attention, x)
        heads = attend(q, k, v, backend=attention.backend, causal=True).transpose(1, 2)
    return memory_of(lambda: MERGES[name](heads), x.device).allocated / heads.nbytes


def difference(came: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    """Largest over outputs and gradients, each as a share of its largest value."""
    pairs = zip(came, expected, strict=True)
    return max(
        float((a.detach().double() - b.detach().double()).abs().max() / b.detach().abs().max())
        for a, b in pairs
    )


def works(run: Step) -> bool:
    try:
        run()
    except RuntimeError as error:  # of all things that may go wrong, this is the finding
        if not re.search("view size is not compatible|Cannot view a tensor", str(error)):
            raise
        return False
    return True


def measure(
    backend: str, *, training: bool, compiled: str, options: argparse.Namespace
) -> Iterator[Row]:
    """One row a way to merge."""
    torch.compiler.reset()
    attention, x = module(backend, options), example(options, training=training)
    expected = step(module("math", options), x, "contiguous", training=training, compiled="")()
    make = functools.partial(step, attention, x, training=training, compiled=compiled)
    cases = {name: run for name in MERGES if works(run := make(name))}
    seconds = interleave(
        cases | {AGAIN: cases["contiguous"]}, rounds=options.rounds, number=options.number
    )
    for name in (*MERGES, AGAIN):
        row = {
            "backend": backend,
            "pass": "training" if training else "inference",
            "how": "compiled" if compiled else "eager",
            "merge": name,
        }
        if name not in seconds:
            yield row | dict.fromkeys(COLUMNS, "fails")
            continue
        run, share = cases[name.removesuffix(" again")], ratio(seconds[name], seconds["contiguous"])
        memory = memory_of(run, options.device)
        yield row | {
            "time": share.median,
            "low": share.low,
            "high": share.high,
            "bytes": memory.allocated,
            "peak": memory.peak,
            "copied": "" if compiled else copied(attention, x, name.removesuffix(" again")),
            "difference": difference(run(), expected),
        }


def study(options: argparse.Namespace) -> tuple[list[Row], dict[str, str]]:
    """All rows, and for each backend that did not run the reason."""
    rows: list[Row] = []
    missing: dict[str, str] = {}
    for backend, training, compiled in itertools.product(
        options.backends, options.passes, ("", options.compiler)
    ):
        reason = runnable(options.device, training=training, dtype=options.dtype)[backend]
        label = f"{backend} {'training' if training else 'inference'}"
        if reason is not None:
            missing[label] = reason
            continue
        print(f"{label} {'compiled' if compiled else 'eager'}", flush=True)
        rows += measure(backend, training=training, compiled=compiled, options=options)
    return rows, missing


def draw(rows: list[Row], path: Path, device: str) -> None:
    """Time and bytes of each way to merge, as a ratio to ``.contiguous().view()``."""
    groups = list(dict.fromkeys((row["backend"], row["pass"], row["how"]) for row in rows))
    base = {
        key: row["bytes"]
        for row in rows
        if (key := (row["backend"], row["pass"], row["how"])) and row["merge"] == "contiguous"
    }
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(10, 1.6 + 0.42 * len(groups)), layout="constrained"
    )
    for offset, (name, colour) in zip((-0.27, -0.09, 0.09, 0.27), COLOURS.items(), strict=True):
        drawn = [row for row in rows if row["merge"] == name and row["time"] != "fails"]
        keys = [(row["backend"], row["pass"], row["how"]) for row in drawn]
        heights = [groups.index(key) + offset for key in keys]
        medians = [row["time"] for row in drawn]
        bars = [
            [row["time"] - row["low"] for row in drawn],
            [row["high"] - row["time"] for row in drawn],
        ]
        style = {"color": colour, "markersize": 4, "fmt": "o"}
        left.errorbar(medians, heights, xerr=bars, label=name, **style)
        shares = [row["bytes"] / base[key] for row, key in zip(drawn, keys, strict=True)]
        right.plot(shares, heights, "o", color=colour, markersize=4)
    left.set_yticks(range(len(groups)), [" ".join(map(str, group)) for group in groups])
    left.invert_yaxis()
    left.set_xlabel("time of a pass / .contiguous().view()\nmedian and quartiles of the rounds")
    right.set_xlabel("bytes allocated in a pass / .contiguous().view()")
    right.set_xlim(0.9, 1.1)
    right.set_xticks([0.9, 1.0, 1.1])
    for axes in (left, right):
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.grid(axis="y", alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.suptitle(f"Merging the heads with and without .contiguous(), {device}")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=21)
    options = parser.parse_args(argv)
    cuda = torch.device(options.device).type == "cuda"
    options.dtype = torch.bfloat16 if cuda else torch.float32
    options.batch, options.tokens, options.width = (16, 1024, 1024) if cuda else (4, 256, 128)
    options.heads, options.number = (16, 5) if cuda else (4, 2)
    options.backends, options.compiler, options.passes = BACKENDS, "inductor", (False, True)
    if options.quick:
        options.batch, options.tokens, options.width, options.number = 2, 16, 32, 1
        options.heads, options.backends, options.compiler = 2, ("math",), "aot_eager"
        options.passes = (True,)
    return options


def main(argv: list[str] | None = None) -> None:
    options = parse(argv)
    warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
    about = machine()
    print(about)
    rows, missing = study(options)
    cuda = torch.device(options.device).type == "cuda"
    end = suffix(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(options.out / f"results{end}.csv", rows)
    draw(rows, options.out / f"layout{end}.png", str(about["device"]) if cuda else "CPU")
    print(markdown(rows))
    for label, reason in missing.items():
        print(f"{label}: {reason}")


if __name__ == "__main__":
    main()
