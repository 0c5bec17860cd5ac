"""DistributedDataParallel over a set of parameters that changes between optimizer steps.

DDP builds its gradient buckets when it wraps a module. Parameters born later are in no bucket, so
their gradients are never reduced and ranks drift apart in silence; the wrapper has to be built
anew after every change of the set.
"""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy

from kasmina.lit import GrowingModule
from kasmina.stage import Stage


class GrowingDDP(DDPStrategy):
    """Lightning's DDP, whose wrapper is rebuilt after the network has changed.

    Args:
        options: of ``lightning.pytorch.strategies.DDPStrategy``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._own_options = dict(self._ddp_kwargs)

    def configure_ddp(self) -> None:
        """Wrap; in steps without a shadow pass, DDP must not wait for the seeds in training."""
        options = {**self._own_options}
        if _rests(self.lightning_module):
            options["find_unused_parameters"] = True
        self._ddp_kwargs = options
        super().configure_ddp()

    def commit_topology(self) -> None:
        """Wrap the changed module anew; rank 0's parameters and buffers are sent to all ranks."""
        self.model = self.lightning_module  # the old wrapper goes, and its hooks with it
        self.configure_ddp()


def _rests(module: LightningModule | None) -> bool:
    """Whether seeds are in training that not every step trains."""
    if not isinstance(module, GrowingModule) or not module.model.at(Stage.TRAINING):
        return False
    return module.incubation.interval > 1


def commit_topology(trainer: Trainer) -> None:
    """Tell the strategy that parameters have come or gone.

    Raises:
        ValueError: there are several ranks and the strategy cannot follow.
    """
    if isinstance(trainer.strategy, GrowingDDP):
        trainer.strategy.commit_topology()
    elif trainer.world_size > 1:
        raise ValueError(
            f"{type(trainer.strategy).__name__} cannot follow a network that grows; "
            "choose trainer.strategy._target_=kasmina.strategies.GrowingDDP"
        )
