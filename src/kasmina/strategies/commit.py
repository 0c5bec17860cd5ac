"""What a strategy has to be told when the network has changed."""

import time

from lightning import Trainer

from kasmina.callbacks.base import GrowthCallback, growing, of_type
from kasmina.strategies.agree import agree
from kasmina.strategies.ddp import GrowingDDP


def commit_topology(trainer: Trainer) -> None:
    """Tell the strategy that parameters have come or gone, once all ranks agree on what is there.

    Raises:
        RanksDiffer: they do not.
        ValueError: there are several ranks and the strategy cannot follow.
    """
    strategy = trainer.strategy
    if isinstance(strategy, GrowingDDP):
        check_ranks(trainer)
        began = time.monotonic()
        strategy.commit_topology()
        seconds = time.monotonic() - began
        for callback in of_type(trainer, GrowthCallback):
            callback.on_rewrap(trainer, growing(trainer.lightning_module), seconds)
    elif trainer.world_size > 1:
        raise ValueError(
            f"{type(strategy).__name__} cannot follow a network that grows; "
            "choose trainer=ddp or trainer=fsdp2"
        )


def check_ranks(trainer: Trainer) -> None:
    """Compare the network over ranks, as the strategy says.

    Raises:
        RanksDiffer: they do not have the same.
    """
    strategy = trainer.strategy
    if trainer.world_size > 1 and isinstance(strategy, GrowingDDP):
        agree(trainer, values=strategy.compare == "parameters")
