"""FSDP2 (``torch.distributed.fsdp.fully_shard``) over a network that grows.

Every rank holds a share of each parameter; a seed is cut into shares as it is born, before the
optimizer hears of it. Nothing is wrapped, so nothing has to be rebuilt after a change.
https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from kasmina.callbacks.base import growing
from kasmina.graft import Grafted
from kasmina.lit import GrowingModule
from kasmina.nursery import in_channels_last
from kasmina.strategies.ddp import GrowingDDP
from kasmina.topology import restore, topology


class GrowingFSDP2(GrowingDDP):
    """Shares the parameters, their gradients and the optimizer's state out over all ranks.

    Each site, each seed, and what is left of the host is a unit that is gathered for its forward
    and its backward. Checkpoints hold whole tensors and are the same as those of any strategy.

    Args:
        compare, grace_s: see ``GrowingDDP``.
        timeout: the longest that a rank waits for another one.
    """

    def setup(self, trainer: Trainer) -> None:
        """Cut the network into shares, and give the optimizer what was cut.

        Raises:
            ValueError: something is asked for that does not work on shares.
        """
        module = growing(trainer.lightning_module)
        refuse(trainer, module)
        if trainer.state.fn == TrainerFn.FITTING or not is_shared(module):
            super().setup(trainer)
            return
        assert self.accelerator is not None
        self.accelerator.setup(trainer)  # Lightning's would send rank 0's shares to all
        self.setup_precision_plugin()

    def configure_ddp(self) -> None:
        """Share out what is there, once all ranks hold what rank 0 holds."""
        assert self.lightning_module is not None
        model = growing(self.lightning_module).model
        if is_shared(model):
            return
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        model.twin = Twin(model)
        for slot in model:
            if slot.seed is not None:
                share_seed(slot.seed, mesh)
        for name in dict.fromkeys(slot.site.name for slot in model):
            share(model.host.get_submodule(name), mesh)
        share(model, mesh)
        model.share_seed = lambda seed: share_seed(seed, mesh)

    def commit_topology(self) -> None:
        """Newborns were shared out when they were born; there is no wrapper."""

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole tensors, the same on all ranks."""
        found: dict[str, Any] = whole(super().lightning_module_state_dict())
        return found

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Whole tensors, the same on all ranks."""
        found: dict[str, Any] = whole(super().optimizer_state(optimizer))
        return found

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Cut whole tensors into shares where the network is shared out already."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        saved = checkpoint["state_dict"]
        cut = {name: like(value, own.get(name)) for name, value in saved.items()}
        super().load_model_state_dict({"state_dict": cut}, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Cut whole tensors into shares, each as its parameter."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            state = {
                index: {key: like(value, parameters[index]) for key, value in entries.items()}
                for index, entries in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})


class Twin:
    """Makes a network like ``model`` that holds no numbers, for who has to copy it: FSDP2 refuses
    to be copied.
    """

    def __init__(self, model: Grafted) -> None:
        tensors = (*model.parameters(), *model.buffers())
        self._model = model
        self._empty = copy.deepcopy(model, {id(tensor): _hollow(tensor) for tensor in tensors})

    def __call__(self) -> Grafted:
        """The network as it stands, on the meta device."""
        restore(self._empty, topology(self._model))
        return copy.deepcopy(self._empty)


def refuse(trainer: Trainer, module: GrowingModule) -> None:
    """Say what does not work on shares.

    Raises:
        ValueError: it is asked for; the message names what to choose.
    """
    from kasmina.callbacks.governor import Governor  # which imports this package

    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    wrong = {
        "incubation=shadow (its second pass swaps parameters that FSDP2 gathers)": (
            not module.incubation.listens,
            "incubation=ste_ridge or incubation=ste",
        ),
        "callbacks.governor (its snapshots are copies of whole networks)": (
            any(isinstance(each, Governor) for each in callbacks),
            "callbacks.governor=null",
        ),
        "memory_format=channels_last (it cuts contiguous parameters alone)": (
            in_channels_last(module.model.host),
            "memory_format=contiguous",
        ),
        "compile (untested)": (module.model.compile_seed is not None, 'compile="off"'),
        "trainer.precision=16-mixed (its scaler looks at one share)": (
            trainer.precision == "16-mixed",
            "trainer.precision=bf16-mixed",
        ),
    }
    for what, (asked, instead) in wrong.items():
        if asked:
            raise ValueError(f"trainer=fsdp2 does not go with {what}; choose {instead}")


def share(module: nn.Module, mesh: DeviceMesh) -> None:
    """Send rank 0's numbers to all, then leave each rank its share of them."""
    for tensor in (*module.parameters(), *module.buffers()):
        if not isinstance(tensor, DTensor):
            sent = tensor.detach().contiguous()
            dist.broadcast(sent, 0)
            tensor.detach().copy_(sent)
    fully_shard(module, mesh=mesh)


def share_seed(seed: nn.Module, mesh: DeviceMesh) -> None:
    """The same for a seed, which a fossilized slot enters by another door."""
    share(seed, mesh)
    register_fsdp_forward_method(seed, "grown")


def is_shared(module: nn.Module) -> bool:
    """Whether parameters are in shares."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def whole(value: Any) -> Any:
    """Shares put together again, on the CPU, in any nesting. A collective."""
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, dict):
        return {key: whole(each) for key, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


def like(value: Any, other: Any) -> Any:
    """A whole tensor cut into shares as ``other`` is; anything else as it is."""
    cut = isinstance(other, DTensor) and isinstance(value, Tensor) and value.shape == other.shape
    if not cut:
        return value
    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements)


def _hollow(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(empty, requires_grad=tensor.requires_grad)
    return empty
