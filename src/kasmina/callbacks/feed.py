"""Gives loggers what Lightning does not: the slots, the bill, and what there is at the end."""

from collections.abc import Iterator, Mapping
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger

from kasmina.callbacks.base import GrowthCallback, growing, of_type
from kasmina.callbacks.ledger import Ledger
from kasmina.lit import GrowingModule
from kasmina.loggers import FLOPS, RunLogger
from kasmina.report import figures_of
from kasmina.report.records import Decision, Run, SlotState
from kasmina.stage import Stage

STAGES = tuple(Stage)
"""``slot/<site>/stage`` is the place in this order: 0 dormant, 1 germinated ... 5 fossilized."""

_DECISIONS = ("tick", "epoch", "step", "site", "event", "blueprint", "alpha", "by", "reason")
_TIMELINE = (
    *("tick", "epoch", "step", "site", "stage", "alpha"),
    *("blueprint", "parameters", "contribution", "seed_loss"),
)
_SUMMARY = ("status", "best", "parameters", "fossils", "seeds", "epochs", "steps", "wall_s")


class LoggerFeed(GrowthCallback):
    """At every validation: ``slot/<site>/...`` (see ``slot_numbers``) and ``train_flops``, so that
    any metric can be drawn against cost.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """W&B draws against epochs, and against steps or FLOPs where one chooses that there."""
        for logger in _wandb(trainer):
            for axis in ("epoch", FLOPS):
                logger.experiment.define_metric(axis)
            for name in _names(growing(pl_module)):  # each by itself: Lightning has defined "*"
                logger.experiment.define_metric(name, step_metric="epoch")
            if isinstance(logger, RunLogger):
                known = {each.state_key: each for each in of_type(trainer, ModelCheckpoint)}
                logger.checkpoints.update(known)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One line of numbers to each logger."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        bill = {FLOPS: next(of_type(trainer, Ledger)).total, "epoch": trainer.current_epoch}
        numbers = {**slot_numbers(growing(pl_module)), **bill}
        for logger in trainer.loggers:
            logger.log_metrics(numbers, trainer.global_step)


def slot_numbers(module: GrowingModule) -> dict[str, float]:
    """Of every slot, by name: alpha, stage (see ``STAGES``), size of the seed, and, where they were
    measured, contribution and loss.
    """
    numbers = {}
    for slot in module.model:
        site, name = slot.site.name, f"slot/{slot.site.name}"
        numbers[f"{name}/alpha"] = slot.exact_alpha
        numbers[f"{name}/stage"] = float(STAGES.index(slot.stage))
        numbers[f"{name}/parameters"] = 0.0 if slot.seed is None else slot.seed.num_parameters
        if site in module.contributions:
            numbers[f"{name}/contribution"] = module.contributions[site]
        if site in module.seed_losses:
            numbers[f"{name}/seed_loss"] = module.seed_losses[site]
    return numbers


def _names(module: GrowingModule) -> Iterator[str]:
    """The metrics that a validation gives."""
    yield from (f"train/{name}" for name in module.losses)
    yield from (f"val/{name}" for name in module.metrics["val"].keys(keep_base=True))
    for slot in module.model:
        for name in ("alpha", "stage", "parameters", "contribution", "seed_loss"):
            yield f"slot/{slot.site.name}/{name}"


def _wandb(trainer: Trainer) -> Iterator[WandbLogger]:
    """The loggers that write to W&B, on rank 0."""
    found = (logger for logger in trainer.loggers if isinstance(logger, WandbLogger))
    return found if trainer.is_global_zero else iter(())


def show_summary(trainer: Trainer, summary: Mapping[str, Any]) -> None:
    """Put the numbers of ``summary.json`` into the summary of W&B's run: ``best/value`` ..."""
    chosen = {name: summary[name] for name in _SUMMARY}
    numbers = {**dict(_flat(chosen)), FLOPS: summary["flops"], **(summary["test"] or {})}
    for logger in _wandb(trainer):
        logger.experiment.summary.update(numbers)


def _flat(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}/{below}", leaf) for below, leaf in _flat(value))
        elif value is not None:
            yield name, value


def show_tables(trainer: Trainer, run: Run) -> None:
    """Send the decisions and the timeline to W&B, where it is a logger."""
    decisions = [_decision(each) for each in run.events]
    timeline = [_state(each) for each in run.timeline]
    for logger in _wandb(trainer):
        logger.log_table("report/decisions", columns=list(_DECISIONS), data=decisions)
        logger.log_table("report/timeline", columns=list(_TIMELINE), data=timeline)


def show_figures(trainer: Trainer, run: Run) -> None:
    """Send the report's figures to W&B, where it is a logger."""
    for logger in _wandb(trainer):
        for name, figure in figures_of(run).items():
            logger.log_image(f"report/{name}", [figure])


def _decision(decision: Decision) -> list[str | float]:
    when, seed = decision.when, decision.seed
    named = [decision.site, decision.event, seed.blueprint]
    return [when.tick, when.epoch, when.step, *named, seed.alpha, decision.by, decision.reason]


def _state(state: SlotState) -> list[str | float]:
    when, seed = state.when, state.seed
    numbers = [seed.parameters, state.contribution, state.seed_loss]
    named = [state.site, state.stage.value, seed.alpha, seed.blueprint]
    return [when.tick, when.epoch, when.step, *named, *numbers]


def close_loggers(trainer: Trainer, *, failed: bool) -> None:
    """Finish W&B's run, so that the next job of a multirun does not write into it."""
    for logger in _wandb(trainer):
        logger.experiment.finish(exit_code=int(failed))
