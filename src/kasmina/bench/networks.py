"""The networks that are measured: hosts with their batch, their sites and a seed that fits.

Legend: N batch, T tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kasmina.blueprints.conv import Conv
from kasmina.blueprints.mlp import MLP
from kasmina.hosts.convnet import ConvNet
from kasmina.hosts.gpt import GPT
from kasmina.recipe import Recipe

_CLASSES = 10
_VOCABULARY = 64


@dataclass(frozen=True)
class Network:
    """A host to measure.

    Args:
        name: in the table.
        make: builds the host, with the same weights each time.
        sites: names of its sites, in order.
        blueprint: of the seed that is put there.
        inputs: one batch.
        loss_of: task loss of what the host returns for ``inputs``, 0-d.
    """

    name: str
    make: Callable[[], nn.Module]
    sites: Sequence[str]
    blueprint: Recipe
    inputs: Tensor
    loss_of: Callable[[Tensor], Tensor]


def convnet(*, quick: bool, device: str, layout: torch.memory_format) -> Network:
    """Three stages on colour images of 32 x 32 pixels."""
    widths, count, size = ([8, 16], 4, 16) if quick else ([16, 32, 64], 16, 32)
    images = torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    targets = (torch.arange(count) % _CLASSES).to(device)

    def make() -> nn.Module:
        torch.manual_seed(0)
        host = ConvNet(in_channels=3, num_classes=_CLASSES, widths=widths, blocks=2)
        made: nn.Module = host.to(device).to(memory_format=layout)  # type: ignore[call-overload]
        return made

    return Network(
        name="ConvNet",
        make=make,
        sites=[f"stages.{i}" for i in range(len(widths))],
        blueprint=Recipe.of("conv_light", _target(Conv, ratio=1.0, layers=1, kernel_size=3)),
        inputs=images.to(device).contiguous(memory_format=layout),
        loss_of=lambda logits: F.cross_entropy(logits, targets),
    )


def gpt(*, quick: bool, device: str, depth: int = 4) -> Network:
    """A transformer over characters."""
    width, count, context = (16, 2, 16) if quick else (64, 8, 64)
    if depth > 4 and not quick:
        width, count, context = 32, 4, 32
    tokens = torch.randint(
        _VOCABULARY, (count, context + 1), generator=torch.Generator().manual_seed(0)
    ).to(device)
    targets = tokens[:, 1:].flatten()

    def make() -> nn.Module:
        torch.manual_seed(0)
        return GPT(
            vocab_size=_VOCABULARY, context=context, depth=depth, width=width, num_heads=4
        ).to(device)

    return Network(
        name="GPT" if depth == 4 else f"GPT-{depth}",
        make=make,
        sites=[f"blocks.{i}" for i in range(depth)],
        blueprint=Recipe.of("mlp", _target(MLP)),
        inputs=tokens[:, :-1],
        loss_of=lambda logits: F.cross_entropy(logits.flatten(0, 1), targets),
    )


def _target(blueprint: type[nn.Module], **options: float) -> dict[str, object]:
    return {"_target_": f"{blueprint.__module__}.{blueprint.__qualname__}", **options}
