"""Gives loggers what Lightning does not: the slots, the bill, and the figures at the end."""

from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from kasmina.callbacks.base import GrowthCallback, of_type
from kasmina.callbacks.ledger import Ledger
from kasmina.lit import GrowingModule
from kasmina.report import figures_of
from kasmina.report.records import Decision, Run

_COLUMNS = ("tick", "epoch", "site", "event", "blueprint", "alpha", "by", "reason")


class LoggerFeed(GrowthCallback):
    """At every validation: ``slot/<site>/alpha``, ``slot/<site>/parameters``,
    ``slot/<site>/contribution`` and ``train_flops``, so that any metric can be drawn against cost.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """W&B draws each metric against epochs, steps or FLOPs, as one chooses there."""
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger) and trainer.is_global_zero:
                logger.experiment.define_metric("train_flops")
                logger.experiment.define_metric("slot/*", step_metric="epoch")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line of numbers to each logger."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, GrowingModule)
        numbers = {**slot_numbers(pl_module), "train_flops": next(of_type(trainer, Ledger)).total}
        for logger in trainer.loggers:
            logger.log_metrics({**numbers, "epoch": trainer.current_epoch}, trainer.global_step)


def slot_numbers(module: GrowingModule) -> dict[str, float]:
    """Alpha, size and contribution of every slot, by name."""
    numbers = {}
    for slot in module.model:
        name = f"slot/{slot.site.name}"
        numbers[f"{name}/alpha"] = slot.exact_alpha
        numbers[f"{name}/parameters"] = 0.0 if slot.seed is None else slot.seed.num_parameters
        if slot.site.name in module.contributions:
            numbers[f"{name}/contribution"] = module.contributions[slot.site.name]
    return numbers


def show_figures(trainer: Trainer, run: Run) -> None:
    """Send the report's figures and the decisions to W&B, where it is a logger."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            for name, figure in figures_of(run).items():
                logger.log_image(f"report/{name}", [figure])
            rows = [_row(decision) for decision in run.events]
            logger.log_table("report/decisions", columns=list(_COLUMNS), data=rows)


def _row(decision: Decision) -> list[str | float]:
    when, seed = decision.when, decision.seed
    named = [decision.site, decision.event, seed.blueprint]
    return [when.tick, when.epoch, *named, seed.alpha, decision.by, decision.reason]


def close_loggers(trainer: Trainer, *, failed: bool) -> None:
    """Finish W&B's run, so that the next job of a multirun does not write into it."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and trainer.is_global_zero:
            logger.experiment.finish(exit_code=int(failed))
