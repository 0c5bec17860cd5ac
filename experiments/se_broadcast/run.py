"""Does the SE seed need ``expand_as``, or does broadcasting its factors compute the same?

Usage: python experiments/se_broadcast/run.py [--device cuda] [--rounds 15]
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor, nn

from kasmina.bench.memory import Memory, memory_of
from kasmina.bench.sheet import machine, markdown, write_csv
from kasmina.bench.study import study_parser, suffix
from kasmina.bench.timing import interleave, ratio
from kasmina.blueprints.se import SqueezeExcite
from kasmina.layout import spatial_mean
from kasmina.site import Site

mpl.use("Agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).parent
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
SHAPES = ((32, 16, 32, 32), (32, 64, 16, 16), (16, 128, 8, 8))
TINY = ((2, 8, 4, 4),)

Row = dict[str, str | int | float | bool]


class Expanded(SqueezeExcite):
    """As the seed, its factors expanded to the map before they multiply it."""

    def forward(self, h: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.squeeze(spatial_mean(h)))
        factor = 2 * torch.sigmoid(self.excite(hidden))
        return h * factor[:, :, None, None].expand_as(h)


ARMS: dict[str, type[SqueezeExcite]] = {"broadcast": SqueezeExcite, "expand_as": Expanded}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, then write the table and the picture."""
    options = arguments(argv)
    device = torch.device(options.device)
    rows: list[Row] = []
    for shape in TINY if options.quick else SHAPES:
        for memory_format in FORMATS:
            for mode in ("eager",) if options.quick else ("eager", "inductor"):
                print(f"{mode}, {memory_format}, {shape}", flush=True)
                torch._dynamo.reset()  # no two shapes share a graph, which would become dynamic
                rows.append(compared(shape, memory_format, mode, device, options.rounds))
    options.out.mkdir(parents=True, exist_ok=True)
    end = suffix(options.device)
    write_csv(options.out / f"results{end}.csv", rows)
    draw(rows, options.out / f"broadcast{end}.png")
    print(markdown(rows), machine(), sep="\n")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = study_parser(__doc__, HERE, rounds=15)
    return parser.parse_args(argv)


def compared(
    shape: tuple[int, ...], memory_format: str, mode: str, device: torch.device, rounds: int
) -> Row:
    """Both arms on one map: what they compute, where it lies, what it costs."""
    torch.manual_seed(0)
    h = torch.randn(shape, device=device).contiguous(memory_format=FORMATS[memory_format])
    h.requires_grad_()
    weight = torch.randn_like(h)
    networks = {name: seed(arm, shape, device, mode) for name, arm in ARMS.items()}
    told = {name: computed(network, h, weight) for name, network in networks.items()}
    equal = [torch.equal(a, b) for a, b in zip(*told.values(), strict=True)]
    strides = [[tensor.stride() for tensor in tensors[:2]] for tensors in told.values()]
    cases = {name: stepping(network, h, weight) for name, network in networks.items()}
    seconds = interleave(cases, rounds=rounds, number=10)
    memory = {name: memory_of(case, device) for name, case in cases.items()}
    spread = ratio(seconds["expand_as"], seconds["broadcast"])
    return {
        "mode": mode,
        "memory_format": memory_format,
        "shape": "x".join(map(str, shape)),
        "equal_bits": all(equal),
        "equal_strides": strides[0] == strides[1],
        "strides_of_the_map": all(stride == h.stride() for stride in strides[0]),
        "expand_as_over_broadcast": spread.median,
        "low": spread.low,
        "high": spread.high,
        **bytes_of(memory),
    }


def bytes_of(memory: dict[str, Memory]) -> Row:
    return {
        f"{kind}_{name}": getattr(memory[name], kind)
        for kind in ("allocated", "peak")
        for name in memory
    }


def seed(
    arm: type[SqueezeExcite], shape: tuple[int, ...], device: torch.device, mode: str
) -> nn.Module:
    """The arm with weights that are not silent, the same in both arms."""
    torch.manual_seed(1)
    network = arm(Site.of("here", shape))
    nn.init.normal_(network.excite.weight)
    network.to(device)
    if mode != "eager":
        network.compile(backend=mode, fullgraph=True)
    return network


def computed(network: nn.Module, h: Tensor, weight: Tensor) -> list[Tensor]:
    """The output, and the gradients of map and parameters."""
    out = network(h)
    return [out, *torch.autograd.grad((out * weight).sum(), [h, *network.parameters()])]


def stepping(network: nn.Module, h: Tensor, weight: Tensor) -> Callable[[], object]:
    """Forward and backward from a gradient that is there already."""
    inputs = [h, *network.parameters()]
    return lambda: torch.autograd.grad(network(h), inputs, weight)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Step time of expand_as over that of broadcasting, with quartiles."""
    figure, axis = plt.subplots(figsize=(7.5, 0.8 + 0.36 * len(rows)))
    names = [f"{row['mode']}, {row['memory_format']}, {row['shape']}" for row in rows]
    for index, row in enumerate(rows):
        middle, low, high = (float(row[k]) for k in ("expand_as_over_broadcast", "low", "high"))
        color = "tab:blue" if row["mode"] == "eager" else "tab:orange"
        axis.errorbar(middle, index, xerr=[[middle - low], [high - middle]], fmt="o", color=color)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel("time of expand_as / time of broadcasting")
    axis.set_title("SE seed: expand_as over broadcasting")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
