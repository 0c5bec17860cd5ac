"""``kasmina list`` and ``kasmina check``: what can be chosen here, as tables."""

import inspect
import os
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from kasmina import hydra_api
from kasmina.faults import ConfigFaults, RunFailed
from kasmina.launch import compose_checked
from kasmina.recipe import TARGET, Recipe

if TYPE_CHECKING:
    from kasmina.report.finding import Condition

Overrides = list[str]

_PIPE_WIDTH = 160  # characters, where no terminal says how wide it is
_ONE_LINE = 2000  # of a table that other programs read: a run a line


def hosts(overrides: Overrides) -> None:
    """Networks that can be grown."""
    _print_classes("host")


def blueprints(overrides: Overrides) -> None:
    """What a seed can be made from, and which features it fits."""
    table = _table("blueprint", "fits", "what it is", "options")
    for name in hydra_api.options("blueprint"):
        config = _option("blueprint", name)
        recipe = Recipe.of(name, config)
        fits = ", ".join(getattr(recipe.locate(), "kinds", ()))
        table.add_row(name, fits, _summary(recipe.locate()), _options(config))
    _show(table)


def controllers(overrides: Overrides) -> None:
    """What decides where, when and what grows."""
    _print_classes("controller")


def experiments(overrides: Overrides) -> None:
    """Whole configs, each a command."""
    _print_commands("experiment", "kasmina experiment=")


def ablations(overrides: Overrides) -> None:
    """Named comparisons, each a command."""
    _print_commands("ablation", "kasmina ablate ")


def attention(overrides: Overrides) -> None:
    """Backends, and which of them this machine can run."""
    import torch

    from kasmina.attention import BACKENDS, runnable

    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = _table("backend", f"trains on {device}", f"runs on {device}")
    trains, runs = (runnable(device, training=training) for training in (True, False))
    for name in BACKENDS:
        table.add_row(f"attention={name}", trains[name] or "yes", runs[name] or "yes")
    _show(table)


def sites(overrides: Overrides) -> None:
    """Places in the configured host where a slot can be, with kind and width."""
    from kasmina.dryrun import absent_sites, bare_host, open_sites
    from kasmina.graft import match_sites

    config: Any = OmegaConf.to_container(compose_checked(overrides, keys_only=True), resolve=True)
    host, patterns = bare_host(config), config["slots"]["sites"]
    absent = list(absent_sites(host, patterns))
    chosen = [] if absent else match_sites(host, patterns)
    fits = {
        name: set(getattr(Recipe.of(name, each).locate(), "kinds", ()))
        for name, each in config["blueprint"].items()
    }
    table = _table("site", "kind", "width", "one sample", "module", "slot", "chosen blueprints")
    for site, module in open_sites(config):
        names = ", ".join(name for name, kinds in fits.items() if site.kind in kinds)
        shape = " x ".join(map(str, site.shape))
        slot = "yes" if site.name in chosen else ""
        kind = type(module).__name__
        table.add_row(site.name, site.kind, str(site.width), shape, kind, slot, names)
    _show(table)
    print(*absent, sep="\n", end="\n" if absent else "")


def runs(asked: Sequence[str], *, sort: str | None = None, columns: Sequence[str] = ()) -> None:
    """Runs in folders, by any key of their config or number of their summary.

    Args:
        asked: folders (by default ./runs and ./multirun) and conditions such as ``seed=1,2`` or
            ``val/accuracy>0.9``, of which all must hold.
        sort: key to sort by; ``key:desc`` from the largest.
        columns: further keys that are shown.

    Raises:
        ValueError: no such folder, no run in it, or an unknown key; one line with the nearest.
    """
    from kasmina.report import finding

    folders, conditions = _places(asked)
    asked_for = [it.key for it in conditions]
    by = [sort.removesuffix(finding.DESCENDING)] if sort else []
    shown = dict.fromkeys([*finding.COLUMNS, *asked_for, *by, *columns])
    found = finding.find(folders, conditions, sort=sort, columns=columns)
    table = _table("run", *shown)
    for run in found:
        where = os.path.relpath(run.folder)
        table.add_row(where, *(finding.told(run, key) for key in shown))
    _show(table, _ONE_LINE)


def _places(asked: Sequence[str]) -> "tuple[list[Path], list[Condition]]":
    """What is a folder is one, whatever else it could be read as."""
    from kasmina.report.finding import Condition

    conditions = [Condition.read(text) for text in asked if not Path(text).is_dir()]
    folders = [Path(text) for text in asked if Path(text).is_dir() or not Condition.read(text)]
    here = [path for path in map(Path, ("runs", "multirun")) if path.is_dir()]
    if not folders and not here:
        raise ConfigFaults("no folder was named, and here is neither runs nor multirun")
    return folders or here, [it for it in conditions if it]


def check_blueprints(overrides: Overrides) -> None:
    """Hold every law of the contract against the chosen blueprints, and say how each fared.

    Raises:
        ConfigFaults: the config is wrong.
        RunFailed: a law is broken.
    """
    config: Any = OmegaConf.to_container(compose_checked(overrides, keys_only=True), resolve=True)
    held = [_hold_laws(Recipe.of(name, each)) for name, each in config["blueprint"].items()]
    broken = sum(held)
    if broken:
        raise RunFailed(f"{broken} laws are broken")


def _hold_laws(recipe: Recipe) -> int:
    """Print a line a law; how many are broken."""
    from kasmina.contract import LAWS, ContractBroken, site_of

    kinds = getattr(recipe.locate(), "kinds", ())
    if not kinds:
        raise ConfigFaults(f"blueprint.{recipe.name}: its class names no kinds that it fits")
    broken = 0
    for kind, (law, hold) in product(kinds, LAWS.items()):
        try:
            hold(recipe, site_of(kind))
        except ContractBroken as fault:
            broken += 1
            print(f"BROKEN {fault}")
        else:
            print(f"kept   {recipe.name} on a {kind}, {law}")
    return broken


def _print_commands(group: str, command: str) -> None:
    table = _table("command", "what it is")
    for name in hydra_api.options(group):
        comments = [line for line in hydra_api.comments(group, name) if "kasmina " not in line]
        table.add_row(f"{command}{name}", " ".join(comments))
    _show(table)


def _print_classes(group: str) -> None:
    table = _table(group, "what it is", "options")
    for name in hydra_api.options(group):
        config = _option(group, name)
        told = " ".join(hydra_api.comments(group, name))
        table.add_row(
            f"{group}={name}", told or _summary(Recipe.of(name, config).locate()), _options(config)
        )
    _show(table)


def _option(group: str, name: str) -> dict[str, Any]:
    """The values of an option, references as they are written."""
    config: Any = OmegaConf.to_container(hydra_api.compose([f"{group}={name}"])[group])
    values: dict[str, Any] = config[name] if group == "blueprint" else config
    return values


def _summary(target: Any) -> str:
    return (inspect.getdoc(target) or "").partition("\n")[0]


def _options(config: dict[str, Any]) -> str:
    plain = {key: value for key, value in config.items() if key != TARGET}
    return ", ".join(f"{key}={value}" for key, value in plain.items() if "${" not in str(value))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number == 0)
    return table


def _show(table: Table, width: int = _PIPE_WIDTH) -> None:
    """``width`` in characters, where no terminal says it."""
    console = Console()
    Console(width=None if console.is_terminal else width).print(table)


LISTS: dict[str, Callable[[Overrides], None]] = {
    "hosts": hosts,
    "blueprints": blueprints,
    "sites": sites,
    "controllers": controllers,
    "attention": attention,
    "experiments": experiments,
    "ablations": ablations,
}
