"""Whether all ranks hold the same network; where they do not, which differ, and in what.

What one rank decides alone shows up as gradients that are summed over different parameters, or as
a collective that never ends. So a hash is compared at every tick, before the change is built into
anything.
"""

import hashlib
import json
from typing import Any

import torch
import torch.distributed as dist
from lightning import Trainer
from torch import Tensor
from torch.distributed.tensor import DTensor

from kasmina.callbacks.base import growing
from kasmina.lit import GrowingModule
from kasmina.topology import topology


class RanksDiffer(ValueError):
    """The ranks of a run do not hold the same network; nothing that follows would be right."""


def agree(trainer: Trainer, *, values: bool = False) -> None:
    """Compare topology, parameters and param groups over ranks. A collective: all ranks call it.

    Args:
        values: compare the values of the parameters as well.

    Raises:
        RanksDiffer: names the ranks and the first difference.
    """
    mine = described(growing(trainer.lightning_module), trainer.optimizers, values=values)
    digest = torch.tensor(_digest(mine), dtype=torch.int64, device=trainer.strategy.root_device)
    seen = [torch.empty_like(digest) for _ in range(trainer.world_size)]
    dist.all_gather(seen, digest)
    if all(int(other) == int(digest) for other in seen):
        return  # every rank sees all digests: either all return here, or none
    everyone: list[dict[str, str]] = [{} for _ in range(trainer.world_size)]
    dist.all_gather_object(everyone, mine)
    raise RanksDiffer(f"step {trainer.global_step}: {difference(everyone)}")


def described(
    module: GrowingModule, optimizers: list[Any], *, values: bool = False
) -> dict[str, str]:
    """A line for each fact of a slot, each parameter and each param group."""
    model = module.model
    lines = {
        f"{fact} of slot {name}": json.dumps(value, sort_keys=True)
        for name, slot in topology(model)["slots"].items()
        for fact, value in slot.items()
    }
    lines |= {f"alpha of slot {slot.site.name}": repr(slot.exact_alpha) for slot in model}
    for name, parameter in model.named_parameters():
        trained = "trained" if parameter.requires_grad else "frozen"
        held = f" {_value(parameter)}" if values else ""
        lines[f"parameter {name}"] = f"{tuple(parameter.shape)} {trained}{held}"
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            lines[f"param group {group['name']}"] = f"{len(group['params'])} tensors"
    return lines


def difference(everyone: list[dict[str, str]]) -> str:
    """The first line that not all ranks share, and who has which.

    Args:
        everyone: the lines of each rank.
    """
    keys = list(dict.fromkeys(key for lines in everyone for key in lines))
    key = next(key for key in keys if len({lines.get(key) for lines in everyone}) > 1)
    holders: dict[str, list[int]] = {}
    for rank, lines in enumerate(everyone):
        holders.setdefault(lines.get(key, "not there"), []).append(rank)
    told = [f"{_ranks(ranks)}: {line}" for line, ranks in holders.items()]
    return f"ranks hold different networks; {key} is, on {'; on '.join(told)}"


def _ranks(ranks: list[int]) -> str:
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


def _digest(lines: dict[str, str]) -> int:
    text = json.dumps(list(lines.items()))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest())


def _value(tensor: Tensor) -> str:
    held = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    raw = held.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return hashlib.blake2b(raw, digest_size=8).hexdigest()
