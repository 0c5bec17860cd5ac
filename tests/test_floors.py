"""A module imports from its own floor or below, and only the big packages of its floor.

This table and STYLE are one: to move a file, change its row.
"""

import ast
from pathlib import Path

import pytest

import kasmina

ROOT = Path(kasmina.__file__).parent


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FLOORS: tuple[frozenset[str], ...] = (
    names("""
        _version atomic suggest stage ramp site recipe faults pool jobs lock control.observation
        control.gates control.base control.health control.pace control.timing control.none
        control.schedule control.random control.biggest control.heuristic control.entry
        control.race control.evidence control.statistical control.promise control ablation
    """),
    names("blend attention flex layout rng"),
    names("""
        seed slot graft nursery topology incubation contract flops compiling compile_meter
        blueprints.* hosts.* probe.*
    """),
    names("""
        checkpoints lit optim tasks surgery snapshot rollback strategies.* loggers assembly
        environment rebuild summary baseline race race.* data.* callbacks.* report.* bench bench.*
        attribution.*
        search.* probed
    """),
    names("""
        __init__ __main__ ablate arms attribute benchmark cli commands conform continued dryrun
        evaluate hints
        hydra_api launch listing live machine multirun places preflight probing ranks request rules
        schema signatures train typed usage wandb_sweep wandb_sweep.*
    """),
)

BIG: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"torch"}),
    frozenset({"torch"}),
    names("""
        torch lightning torchmetrics sklearn scipy pyarrow PIL numpy matplotlib rich wandb
        omegaconf yaml optuna sqlalchemy
    """),
    names("torch lightning hydra omegaconf yaml rich"),
)
"""Packages beside the standard library, by floor; a floor has those below it too."""

HYDRA = "hydra_api"


def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def floor_of(module: str) -> int:
    group = f"{module.partition('.')[0]}.*"
    for floor, those in enumerate(FLOORS):
        if module in those or group in those:
            return floor
    raise LookupError(f"{module} stands on no floor")


def imports(path: Path) -> set[str]:
    """Dotted names that the file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(dotted: str) -> str | None:
    """The module of ours that an import reads, without the name it takes from there."""
    parts = dotted.split(".")[1:]
    for cut in range(len(parts), 0, -1):
        if ".".join(parts[:cut]) in ALL:
            return ".".join(parts[:cut])
    return None


ALL = modules()


def test_every_module_stands_on_one_floor():
    assert [floor_of(module) for module in ALL]
    exact = [name for those in FLOORS for name in those]
    assert len(exact) == len(set(exact))


@pytest.mark.parametrize("module", ALL)
def test_a_module_imports_from_its_own_floor_or_below(module):
    if module == "__init__":  # imports what it exports when it is asked for
        return
    read = {ours(dotted) for dotted in imports(ALL[module]) if dotted.split(".")[0] == "kasmina"}
    above = {each for each in read if each and floor_of(each) > floor_of(module)}
    assert not above


@pytest.mark.parametrize("module", ALL)
def test_a_module_imports_only_the_big_packages_of_its_floor(module):
    from sys import stdlib_module_names

    allowed = frozenset().union(*BIG[: floor_of(module) + 1]) | {"kasmina"} | stdlib_module_names
    found = {dotted.split(".")[0] for dotted in imports(ALL[module])}
    assert not found - allowed


@pytest.mark.parametrize("module", [module for module in ALL if module != HYDRA])
def test_only_one_module_imports_hydra(module):
    roots = {dotted.split(".")[0] for dotted in imports(ALL[module])}
    assert "hydra" not in roots
    assert "hydra_plugins" not in roots


@pytest.mark.parametrize("module", ALL)
def test_a_file_has_fewer_than_300_lines(module):
    assert len(ALL[module].read_text().splitlines()) < 300
