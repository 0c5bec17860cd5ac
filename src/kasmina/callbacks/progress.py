"""What a person sees while a run goes on."""

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from kasmina.callbacks.base import GrowthCallback
from kasmina.lit import GrowingModule
from kasmina.slot import SeedSlot
from kasmina.stage import Stage
from kasmina.surgery import Change

_MARK = {
    Stage.DORMANT: "·",
    Stage.GERMINATED: "g",
    Stage.TRAINING: "t",
    Stage.BLENDING: "b",
    Stage.HOLDING: "h",
    Stage.FOSSILIZED: "F",
    Stage.PRUNED: "x",
    Stage.EMBARGOED: "e",
}


class GrowthBar(RichProgressBar, GrowthCallback):
    """Lightning's rich bar with the stage of every slot, and a line for every move.

    Slots stand in the host's order: ``·`` dormant, ``t`` training, ``b0.5`` blending at alpha
    0.5, ``h`` holding, ``F`` fossilized, ``x`` pruned, ``e`` embargoed.

    Args:
        announce: print a line for races, germinations, fossilizations and prunes.
    """

    def __init__(self, *, announce: bool = True) -> None:
        super().__init__()
        self.announce = announce

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The bar's metrics, slots first."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        if not isinstance(pl_module, GrowingModule):
            return metrics
        return {"slots": " ".join(map(_mark, pl_module.model)), **metrics}

    def on_change(self, trainer: Trainer, module: GrowingModule, tick: int, change: Change) -> None:
        """The moves that matter, as they happen."""
        if not self.announce or not trainer.is_global_zero:
            return
        if change.event in {"germinate", "fossilize", "prune"}:
            text = (
                f"tick {tick:>3}  {change.site}: {change.event} {change.blueprint} "
                f"({change.parameters} parameters)  {change.reason}"
            )
            self._print(text)
        if change.event in {"probe", "race"}:
            self._print(f"tick {tick:>3}  {change.event}: {change.reason}")

    def _print(self, text: str) -> None:
        if self.progress is not None:
            self.progress.console.print(text, highlight=False, markup=False)
        else:
            print(text)


def _mark(slot: SeedSlot) -> str:
    mark = _MARK[slot.stage]
    return f"{mark}{slot.exact_alpha:.2g}" if slot.stage is Stage.BLENDING else mark
