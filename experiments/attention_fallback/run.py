"""Does a FlexAttention seed fall back to the others without a trace? Re-runs the whole study.

A GPT with one fossilized attention seed is computed by every backend from one checkpoint.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from kasmina.attention import BACKENDS, runnable
from kasmina.bench.sheet import Row, machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import interleave, ratio
from kasmina.graft import Grafted, graft
from kasmina.hosts.gpt import GPT
from kasmina.nursery import plant
from kasmina.recipe import Recipe
from kasmina.topology import restore, topology

matplotlib.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
SITE, VOCABULARY = "blocks.0", 64
FLEX = "torch.nn.attention.flex_attention"
REFERENCE = "math"

Step = Callable[[], tuple[Tensor, ...]]


def host(options: argparse.Namespace) -> Grafted:
    """The host attends by ``auto`` whatever its seed does: all that differs is the seed."""
    torch.manual_seed(0)
    gpt = GPT(
        vocab_size=VOCABULARY,
        context=options.tokens,
        depth=2,
        width=options.width,
        num_heads=options.width // 32,
    )
    model = graft(gpt, [SITE], torch.zeros(1, options.tokens, dtype=torch.int64))
    return model.to(options.device, options.dtype)


def recipe(backend: str) -> Recipe:
    path = "kasmina.blueprints.attention.Attention"
    return Recipe.of("attention", {"_target_": path, "backend": backend})


def grown(backend: str, options: argparse.Namespace) -> Grafted:
    """With a seed whose weights are not those of its birth, when it adds nothing."""
    model = host(options)
    add = Recipe.of("add", {"_target_": "kasmina.blend.Add"})
    plant(model, {SITE: recipe(backend)}, operator=add, run_seed=0)
    torch.manual_seed(1)
    for parameter in model.slots.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def loaded(file: Path, backend: str, options: argparse.Namespace) -> Grafted:
    """The network of a checkpoint, its seed computed by ``backend``."""
    state = torch.load(file, weights_only=True)
    state["topology"]["slots"][SITE]["seed"]["blueprint"]["config"]["backend"] = backend
    model = host(options)
    restore(model, state["topology"])
    model.load_state_dict(state["weights"], strict=True)
    return model


def step(model: Grafted, tokens: Tensor, *, training: bool, compiler: str) -> Step:
    """The logits, in training with the gradient of every weight."""
    call = torch.compile(model, fullgraph=True, backend=compiler) if compiler else model

    def run() -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(training):
            out = call(tokens)
        if not training:
            return (out,)
        return (out, *torch.autograd.grad(out.float().square().mean(), list(model.parameters())))

    return run


def difference(came: Tensor, expected: Tensor) -> float:
    """Largest, as a share of the largest value."""
    came, expected = came.detach().double(), expected.detach().double()
    return float((came - expected).abs().max() / expected.abs().max())


def compare(file: Path, *, training: bool, compiler: str, options: argparse.Namespace) -> list[Row]:
    """One row a backend: differences to eager ``math``, and time to ``auto`` of the same kind."""
    torch.compiler.reset()
    torch.manual_seed(2)
    tokens = torch.randint(VOCABULARY, (options.batch, options.tokens), device=options.device)
    reasons = runnable(options.device, training=training, dtype=options.dtype)
    expected = step(loaded(file, REFERENCE, options), tokens, training=training, compiler="")()
    steps = {
        backend: step(loaded(file, backend, options), tokens, training=training, compiler=compiler)
        for backend in options.backends
        if reasons[backend] is None
    }
    # before the rounds, in which nothing may be compiled any more
    came = {backend: run() for backend, run in steps.items()}
    seconds = interleave(steps, rounds=options.rounds, number=options.number)
    rows: list[Row] = []
    for backend in options.backends:
        kind = {
            "backend": backend,
            "pass": "training" if training else "inference",
            "how": "compiled" if compiler else "eager",
        }
        if backend not in steps:
            rows.append(kind | dict.fromkeys(COLUMNS, "") | {"note": reasons[backend]})
            continue
        pairs = list(zip(came[backend], expected, strict=True))
        share = ratio(seconds[backend], seconds["auto"])
        rows.append(
            kind
            | {"output": difference(*pairs[0])}
            | {"gradient": max((difference(*pair) for pair in pairs[1:]), default="")}
            | {"time": share.median, "low": share.low, "high": share.high, "note": ""}
        )
    return rows


COLUMNS = ("output", "gradient", "time", "low", "high")


WRITERS = ("flex", "auto")


def write(folder: Path, options: argparse.Namespace) -> None:
    """A checkpoint of each writer, with the logits that it gave."""
    for writer in WRITERS:
        model = grown(writer, options)
        with torch.no_grad():
            out = model(example(options))
        state = {"topology": topology(model), "weights": model.state_dict(), "out": out}
        torch.save(state, folder / f"{writer}.pt")


def read(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Every checkpoint under every backend: does it load, and how far are the logits off?"""
    rows: list[Row] = []
    for writer, backend in itertools.product(WRITERS, options.backends):
        row = {
            "written": writer,
            "loaded": backend,
            "FlexAttention": "absent" if options.absent else "present",
            "output": "",
            "note": "",
        }
        file = folder / f"{writer}.pt"
        model = loaded(file, backend, options)  # strict: a checkpoint that does not fit raises
        expected = torch.load(file, weights_only=True)["out"].to(options.device)
        try:
            with torch.no_grad():
                row["output"] = difference(model(example(options)), expected)
        except ValueError as error:
            row["note"] = f"loads; {error}"
        rows.append(row)
    return rows


def read_elsewhere(folder: Path, argv: list[str]) -> list[Row]:
    """The same in a process where FlexAttention cannot be imported."""
    subprocess.run([sys.executable, __file__, *argv, "--absent", str(folder)], check=True)
    return json.loads((folder / "rows.json").read_text())


def example(options: argparse.Namespace) -> Tensor:
    torch.manual_seed(3)
    return torch.randint(VOCABULARY, (2, options.tokens)).to(options.device)


def draw(rows: list[Row], path: Path, where: str) -> None:
    """Time to ``auto`` and the differences to ``math`` of what ran."""
    ran = [row for row in rows if row["time"] != ""]
    names = [f"{row['backend']} {row['pass']} {row['how']}" for row in ran]
    places = range(len(ran))
    figure, (left, right) = plt.subplots(
        1, 2, sharey=True, figsize=(10, 1.8 + 0.28 * len(ran)), layout="constrained"
    )
    bars = [[row["time"] - row["low"] for row in ran], [row["high"] - row["time"] for row in ran]]
    left.errorbar([row["time"] for row in ran], places, xerr=bars, fmt="o", color="#0072B2")
    left.axvline(1.0, color="black", linewidth=0.8)
    left.set_xscale("log")
    most = max(2.0, *(row["high"] for row in ran))
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if tick <= most]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    left.minorticks_off()
    left.set_yticks(places, names)
    left.invert_yaxis()
    left.set_xlabel("time of a step / auto, the same pass\nmedian and quartiles of the rounds")
    for column, colour in (("output", "#009E73"), ("gradient", "#D55E00")):
        known = [place for place in places if ran[place][column] != ""]
        values = [max(ran[place][column], FLOOR) for place in known]
        right.plot(values, known, "o", color=colour, label=column)
    right.set_xscale("log")
    right.set_xlabel(
        "largest difference to eager math\nshare of the largest value; 0 drawn at 1e-9"
    )
    for axes in (left, right):
        axes.grid(axis="y", alpha=0.3)
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle(f"One attention seed, one checkpoint, every backend: {where}")
    figure.savefig(path, dpi=120)
    plt.close(figure)


FLOOR = 1e-9


def parse(argv: list[str]) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=21)
    parser.add_argument("--absent", type=Path, help="read this folder's checkpoints without flex")
    options = parser.parse_args(argv)
    cuda = torch.device(options.device).type == "cuda"
    options.dtype = torch.bfloat16 if cuda else torch.float32
    options.batch, options.tokens, options.width = (16, 1024, 512) if cuda else (4, 256, 128)
    options.backends, options.compilers, options.number = BACKENDS, ("", "inductor"), 2
    options.passes = (False, True)
    if options.quick:
        options.batch, options.tokens, options.width, options.number = 2, 16, 32, 1
        options.backends, options.compilers = ("auto", "math", "flex"), ("",)
    return options


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    options = parse(argv)
    warnings.filterwarnings("ignore", "flex_attention called without torch.compile")
    if options.absent:
        sys.modules[FLEX] = None  # type: ignore[assignment] - now an import of it raises
        (options.absent / "rows.json").write_text(json.dumps(read(options.absent, options)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options)
        moves = read(folder, options) + read_elsewhere(folder, argv)
        print("checkpoints read", flush=True)
        rows: list[Row] = []
        for training, compiler in itertools.product(options.passes, options.compilers):
            print("training" if training else "inference", compiler or "eager", flush=True)
            file = folder / "flex.pt"
            rows += compare(file, training=training, compiler=compiler, options=options)
    publish(rows, moves, options)


def publish(rows: list[Row], moves: list[Row], options: argparse.Namespace) -> None:
    about = machine()
    cuda = torch.device(options.device).type == "cuda"
    end = suffix(options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(options.out / f"results{end}.csv", rows)
    write_csv(options.out / f"checkpoints{end}.csv", moves)
    draw(rows, options.out / f"fallback{end}.png", str(about["device"]) if cuda else "CPU")
    print(about, markdown(rows), markdown(moves), sep="\n")


if __name__ == "__main__":
    main()
