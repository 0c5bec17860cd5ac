"""Combinations of right values that cannot work, one small rule each.

A rule reads plain values and yields a sentence a fault. No rule reads data.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from kasmina import machine
from kasmina.callbacks.ledger import Ledger
from kasmina.callbacks.looks import GateLooks
from kasmina.callbacks.record import RunRecord
from kasmina.callbacks.ticker import Ticker
from kasmina.compiling import Compile, compile_in_place
from kasmina.control.race import Racer
from kasmina.control.timing import Probing
from kasmina.dryrun import absent_sites, bare_grafted, bare_host, example
from kasmina.graft import Grafted
from kasmina.nursery import check_fit, sizes
from kasmina.optim import SeedOptions
from kasmina.probe.dual import Dual
from kasmina.ramp import Ramp
from kasmina.recipe import TARGET, Recipe, build, locate
from kasmina.site import Site
from kasmina.strategies.fsdp2 import GrowingFSDP2
from kasmina.suggest import unknown

_TESTED = "kasmina.control.statistical.Statistical"

Values = Mapping[str, Any]
Rule = Callable[[Values], Iterator[str]]

REFUSALS = (
    *(ValueError, TypeError, OSError, OverflowError, ZeroDivisionError, RuntimeError),
    MisconfigurationException,
)
"""What constructors of ours, of torch and of Lightning raise of options that they cannot take."""


def impossible(values: Values) -> Iterator[str]:
    """What every rule has to say."""
    for rule in RULES:
        yield from rule(values)


def data_files(values: Values) -> Iterator[str]:
    """A data file that is missing or damaged."""
    try:
        missing = getattr(build(values["data"]), "missing", None)
    except REFUSALS as error:
        yield f"data: {_line(error)}"
        return
    problem = missing() if missing else None
    if problem:
        yield f"data: {problem}"


def parts(values: Values) -> Iterator[str]:
    """A part that refuses its own options: a ramp of no tick, a negative ridge."""
    weights = [nn.Parameter(torch.zeros(1))]
    makers: dict[str, Callable[[], object]] = {
        "ramp": lambda: Ramp(**values["ramp"]),
        "growth": lambda: SeedOptions(
            values["growth"]["seed_lr"], values["growth"]["seed_weight_decay"]
        ),
        "optimizer": lambda: build(values["optimizer"], weights),
        "host": lambda: bare_host(values),
    }
    for key in ("incubation", "task", "scheduler", "controller"):
        makers[key] = lambda config=values[key]: build(config)  # type: ignore[misc]
    for key, make in makers.items():
        try:
            make()
        except REFUSALS as error:
            yield f"{key}: {_line(error)}"


def callbacks(values: Values) -> Iterator[str]:
    """A callback that refuses its options, watches what nobody logs, or one too few."""
    made: dict[str, object] = {}
    for key, config in values["callbacks"].items():
        try:
            made |= {key: build(config)} if config else {}
        except REFUSALS as error:
            yield f"callbacks.{key}: {_line(error)}"
            return
    for needed in (Ticker, Ledger, RunRecord):
        if not any(isinstance(each, needed) for each in made.values()):
            yield f"callbacks: a run needs {needed.__module__}.{needed.__qualname__}"
    if values["pace"].get(TARGET) == _TESTED and not any(
        isinstance(each, GateLooks) for each in made.values()
    ):
        yield f"callbacks: pace=statistical needs {GateLooks.__module__}.{GateLooks.__qualname__}"
    yield from _monitors(values, made)


def _monitors(values: Values, made: Mapping[str, object]) -> Iterator[str]:
    """A metric to watch that is not logged; a callback of the user's may log anything."""
    if not all(
        type(each).__module__.startswith(("kasmina.", "lightning.")) for each in made.values()
    ):
        return
    try:
        known = {"train/loss", "epoch", "step", *build(values["task"]).metrics("val/")}
    except REFUSALS:  # of the task's own options
        return
    for key, each in made.items():
        monitor = getattr(each, "monitor", None)
        if monitor is not None and monitor not in known and not monitor.startswith("train/"):
            yield f"callbacks.{key}.monitor: {unknown('metric', monitor, known)}"


def _line(error: Exception) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def slot_sites(values: Values) -> Iterator[str]:
    """A site that the host does not have, or a blueprint that fits none of them."""
    host = _host(values)
    if host is None:
        return
    absent = list(absent_sites(host, values["slots"]["sites"]))
    yield from absent
    try:
        model = None if absent else bare_grafted(values)
    except ValueError as error:
        yield f"slots.sites: {error}"
    except (*REFUSALS, IndexError) as error:
        shape = tuple(getattr(example(values["data"]), "shape", ()))
        reason = str(error).splitlines()[0]
        yield f"host: cannot read a batch of data of shape {shape}: {reason}"
    else:
        yield from _misfits(values, {slot.site.kind for slot in model or ()})
        yield from _unfit(values, [slot.site for slot in model or ()])
        yield from _planted(values, {slot.site.name: slot.site for slot in model or ()})
        yield from _regions(values, model)


def _misfits(values: Values, kinds: set[str]) -> Iterator[str]:
    for name, config in values["blueprint"].items():
        fits = getattr(Recipe.of(name, config).locate(), "kinds", ())
        if kinds and not kinds & set(fits):
            passing = " and ".join(sorted(kinds))
            yield f"blueprint.{name}: fits {' and '.join(fits)}; the chosen sites pass {passing}"


def _unfit(values: Values, sites: Iterable[Site]) -> Iterator[str]:
    """A blueprint, or the blend, that refuses its options at a site that it fits."""
    operator = Recipe.of("blend", values["blend"])
    for name, config in values["blueprint"].items():
        try:
            for site in sites:
                sizes(site, {name: Recipe.of(name, config)}, operator)
        except REFUSALS as error:
            yield f"blueprint.{name}: {_line(error)}"


def _planted(values: Values, sites: Mapping[str, Site]) -> Iterator[str]:
    for name, blueprint in (values["slots"]["planted"] or {}).items():
        path = f"slots.planted.{name}"
        if name not in sites:
            yield f"{path}: {unknown('slot', name, sites)}"
        elif blueprint not in values["blueprint"]:
            yield f"{path}: {unknown('blueprint', blueprint, values['blueprint'])}"
        else:
            try:
                check_fit(Recipe.of(blueprint, values["blueprint"][blueprint]), sites[name])
            except ValueError as error:
                yield f"{path}: {error}"


def _regions(values: Values, model: Grafted | None) -> Iterator[str]:
    try:
        if model is not None:  # nothing is compiled before the first forward, which never comes
            compile_in_place(model, Compile(**{**values["compile"], "backend": "eager"}))
    except ValueError as error:
        yield f"compile: {error}"


def sizes_of_data(values: Values) -> Iterator[str]:
    """A host with fewer classes or tokens than the data has."""
    for key in ("num_classes", "vocab_size"):
        have, need = values["host"].get(key), values["data"].get(key)
        if isinstance(have, int) and isinstance(need, int) and have < need:
            yield f"host.{key}: {have} is below data.{key}, which is {need}"


def memory_format(values: Values) -> Iterator[str]:
    """channels_last where there are no feature maps."""
    host = _host(values)
    wanted = values["memory_format"]["name"] == "channels_last"
    if wanted and host is not None and not any(p.dim() == 4 for p in host.parameters()):
        name = values["host"][TARGET].rpartition(".")[2]
        yield (
            f"memory_format.name: channels_last is an order of feature maps, and {name} has none; "
            "possible: contiguous"
        )


def whole_network(values: Values) -> Iterator[str]:
    """What looks at the whole network on one rank, where ranks share it out."""
    strategy = _class(values["trainer"].get("strategy"))
    if strategy is None or not issubclass(strategy, GrowingFSDP2):
        return
    controller, timing = _class(values["controller"]), _class(_timing(values))
    if controller is not None and issubclass(controller, Racer):
        yield "controller: a race needs the whole network on one rank: not with trainer=fsdp2"
    if timing is not None and issubclass(timing, Probing):
        yield "timing: a probe needs the whole network on one rank: not with trainer=fsdp2"


def norms(values: Values) -> Iterator[str]:
    """An optimizer whose direction a timing that probes does not know."""
    timing = _class(_timing(values))
    if timing is not None and issubclass(timing, Probing):
        try:
            Dual(optimizer=values["optimizer"][TARGET])
        except ValueError as error:
            yield f"timing: {error}"


def _timing(values: Values) -> Any:
    """Of a controller that has one."""
    return values["controller"].get("timing")


def _class(config: Any) -> type | None:
    """What a config makes, where that is a class."""
    if not isinstance(config, Mapping) or TARGET not in config:
        return None
    found: Any = locate(config[TARGET])
    return found if isinstance(found, type) else None


def _host(values: Values) -> nn.Module | None:
    """The host, None where it refuses its options, which ``parts`` says."""
    try:
        return bare_host(values)
    except REFUSALS:
        return None


RULES: tuple[Rule, ...] = (
    data_files,
    parts,
    callbacks,
    slot_sites,
    sizes_of_data,
    memory_format,
    whole_network,
    norms,
    machine.threads,
    machine.validation,
    machine.attention_backend,
    machine.trainer_options,
    machine.compiler,
    machine.loggers,
)
"""In the order in which their sentences are read."""
