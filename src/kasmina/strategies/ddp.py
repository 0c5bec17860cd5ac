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
from kasmina.strategies.peers import GRACE_S, RankLauncher, Watch
from kasmina.suggest import unknown

COMPARED = ("topology", "parameters")


class GrowingDDP(DDPStrategy):
    """Lightning's DDP, whose wrapper is rebuilt after the network has changed.

    Args:
        compare: what is compared over ranks at every tick: the ``topology`` (slots, stages, alphas,
            names and shapes of parameters, param groups), or the values of ``parameters`` as well.
        grace_s: seconds that a rank, when another one has died, has to notice it by itself and to
            write what it has to write, before it is ended.
        options: of ``lightning.pytorch.strategies.DDPStrategy``; ``timeout`` is the longest that a
            rank waits for another one.

    Raises:
        ValueError: an unknown kind of comparison.
    """

    def __init__(
        self, *, compare: str = "topology", grace_s: float = GRACE_S, **options: Any
    ) -> None:
        if compare not in COMPARED:
            raise ValueError(unknown("kind of comparison", compare, COMPARED))
        super().__init__(**options)
        self.compare = compare
        self.watch = Watch(grace_s)
        self._own_options = dict(self._ddp_kwargs)

    def setup(self, trainer: Trainer) -> None:
        """Wrap, and give the optimizer what was wrapped.

        Raises:
            ValueError: a static graph together with gradient accumulation.
        """
        if self._own_options.get("static_graph") and trainer.accumulate_grad_batches > 1:
            raise ValueError(
                "trainer.strategy.static_graph does not go with trainer.accumulate_grad_batches "
                f"{trainer.accumulate_grad_batches}: torch learns the graph in the first backward, "
                "which has to synchronise"
            )
        super().setup(trainer)

    def configure_ddp(self) -> None:
        """Wrap; in steps without a shadow pass, DDP must not wait for the seeds in training."""
        options = {**self._own_options}
        if _rests(self.lightning_module):
            # a graph that changes from step to step is not static
            options.update(find_unused_parameters=True, static_graph=False)
        self._ddp_kwargs = options
        super().configure_ddp()

    def commit_topology(self) -> None:
        """Wrap the changed module anew; rank 0's parameters and buffers are sent to all ranks."""
        self.model = self.lightning_module  # the old wrapper goes, and its hooks with it
        self.configure_ddp()

    def setup_environment(self) -> None:
        """From here on a rank that dies is noticed."""
        super().setup_environment()
        self.watch.start(self.launcher)

    def teardown(self) -> None:
        """Nobody is waited for any more."""
        super().teardown()
        self.watch.stop()

    def _configure_launcher(self) -> None:
        super()._configure_launcher()
        if self._start_method == "popen":
            assert self.cluster_environment is not None
            self._launcher = RankLauncher(
                self.cluster_environment, self.num_processes, self.num_nodes
            )


def _rests(module: LightningModule | None) -> bool:
    """Whether seeds are in training that not every step trains."""
    if not isinstance(module, GrowingModule) or not module.model.at(Stage.TRAINING):
        return False
    return module.incubation.interval > 1
