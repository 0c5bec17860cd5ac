"""The ledger says what the compiler did, and after which change."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import IMAGES, VECTORS, fit, run, timeline

from kasmina.callbacks.base import the
from kasmina.callbacks.compile_log import CompileLog
from kasmina.callbacks.ledger import Ledger
from kasmina.compile_meter import CompileMeter
from kasmina.report import summary_lines
from kasmina.report.runs import read_run

pytestmark = [  # what torch 2.13's compiler says about torch
    pytest.mark.filterwarnings(f"ignore:{said}")
    for said in (".*autograd.function.Function.* should not be inst", "The .grad attr", ".*jit")
]

COMPILED = ("compile=default", "compile.backend=aot_eager", "compile.fullgraph=true")
LIFE = timeline(
    "1 layers.0 germinate mlp",
    "1 layers.0 train",
    "2 layers.0 blend",
    "4 layers.0 fossilize",
    "5 layers.1 germinate mlp",
    "5 layers.1 train",
    "6 layers.1 prune",
)


@pytest.fixture(autouse=True)
def _no_graphs() -> None:
    torch.compiler.reset()


def rows(folder: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    """What was compiled after each set of changes."""
    fit(folder, *VECTORS, *LIFE, *COMPILED, "controller.pace=null", "ramp.ticks=1", *overrides)
    report = json.loads((folder / "ledger.json").read_text())["compile"]
    for key in ("graphs", "breaks", "recompiles"):
        assert report[key] == sum(row[key] for row in report["changes"])
    assert report["breaks"] == 0
    assert report["seconds"] > 0
    return {"+".join(row["after"]): row for row in report["changes"]}


def test_each_change_has_its_graphs(tmp_path: Path) -> None:
    seen = rows(tmp_path, "trainer.max_epochs=8", "slots.sites=[layers.0,layers.1]")
    graphs = {change: row["graphs"] for change, row in seen.items()}
    start = graphs.pop("start")
    assert start >= 2
    assert next(iter(graphs)) == "layers.0 germinate+layers.0 train"
    assert sum(graphs.values()) <= 6
    assert not any("prune" in change for change in graphs)
    # layers.0 had the same seed; here it stands, fossilized, below one in training: one more pass
    assert graphs["layers.1 germinate+layers.1 train"] == 1


def test_an_eager_run_compiles_nothing(tmp_path: Path) -> None:
    objects = fit(tmp_path, *VECTORS, "trainer.max_epochs=2")
    report = the(objects.trainer, Ledger).report()["compile"]
    assert report == {"graphs": 0, "breaks": 0, "recompiles": 0, "seconds": 0.0, "changes": []}


def test_a_break_and_a_recompile_are_counted() -> None:
    @torch.compile(backend="aot_eager")
    def broken(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    meter = CompileMeter()
    meter.start()
    broken(torch.ones(2))
    first = meter.take()
    assert (first.graphs, first.breaks, first.recompiles) == (2, 1, 0)
    broken(torch.ones(2, dtype=torch.float64))
    again = meter.take()
    assert (again.graphs, again.recompiles) == (2, 2)
    assert not meter.take()
    meter.stop()
    broken(torch.ones(2, dtype=torch.float16))
    assert meter.take().recompiles == 0


def test_rows_of_one_tick_are_one_and_go_on_after_a_resume() -> None:
    log = CompileLog()
    log.start()
    log.on_change(3, "a train")
    log.on_change(3, "b prune")
    torch.compile(torch.sin, backend="aot_eager")(torch.ones(3))
    torch.compile(lambda x: x + 1, backend="aot_eager")(torch.ones(3))
    (row,) = log.state_dict()
    assert (row["tick"], row["after"], row["graphs"]) == (3, ["a train", "b prune"], 2)
    log.stop()
    resumed = CompileLog()
    resumed.load_state_dict([row])
    assert resumed.report()["graphs"] == 2


@pytest.mark.long
@pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="inductor needs a C++ compiler"
)
def test_a_run_compiled_by_inductor_goes_through_lives(tmp_path: Path) -> None:
    life = timeline("1 stages.0 germinate se", "1 stages.0 train", "2 stages.0 blend")
    common = (*IMAGES, *life, "blueprint=[se]", "controller.pace=null", "trainer.max_epochs=4")
    folder = run(
        tmp_path, *common, "compile=default", "memory_format=channels_last", "ramp.ticks=2"
    )
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    report = json.loads((folder / "ledger.json").read_text())["compile"]
    assert 2 <= report["graphs"] <= 12
    assert any(line.startswith("compiled ") for line in summary_lines(read_run(folder)))
