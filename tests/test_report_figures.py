"""Figures: whatever a run holds, they draw without a warning and show what is there."""

import math
from itertools import pairwise

import pytest
from _compared import compared
from _runs import Move, RunFolder, life
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from kasmina.report import frame, versus
from kasmina.report.compared import compare
from kasmina.report.figures import figures_of, figures_of_groups
from kasmina.report.groups import group
from kasmina.report.growth import growth
from kasmina.report.lanes import alpha_steps, lanes, stretches
from kasmina.report.palette import STAGE_COLOURS
from kasmina.report.runs import read_run
from kasmina.stage import Event, Stage

NAN = float("nan")
GROWN = [*life("stages.1", "conv_heavy", 2), *life("stages.0", "norm", 3, keep=False)]
MANY = tuple(f"transformer.blocks.{at}.attention.output" for at in range(12))
RUNS = {
    "grown": {"ticks": 20, "moves": GROWN},
    "one tick": {"ticks": 1, "sites": ("s",)},
    "no slots": {"ticks": 2, "sites": ()},
    "unfinished": {"ticks": 8, "moves": life("stages.0", "se", 2)[:3], "status": None},
    "all nan": {"ticks": 3, "values": dict.fromkeys(("val/loss", "val/accuracy"), [NAN] * 3)},
    "exploding": {"ticks": 3, "values": {"val/loss": [1.0, 1e9, math.inf]}, "status": "diverged"},
    "loss alone": {"ticks": 3, "monitor": "val/loss", "mode": "min"},
    "12 slots": {
        "ticks": 30,
        "sites": MANY,
        "moves": [move for site in MANY for move in life(site, "mlp", 2)],
        "monitor": "val/bpc",
        "mode": "min",
        "host": 10**7,
        "ticks_per_epoch": 7,
    },
}


@pytest.mark.parametrize("width", [frame.WIDE, frame.NARROW])
@pytest.mark.parametrize("name", RUNS)
def test_every_run_can_be_drawn(tmp_path, name, width):
    run = read_run(RunFolder(tmp_path, **RUNS[name]).write())
    figures = figures_of(run, width=width)
    assert set(figures) == {"curves", "parameters", "compute", *(["stages"] if run.sites else [])}
    for figure in figures.values():
        figure.set_dpi(40)
        figure.canvas.draw()
        assert figure.get_figwidth() == width


def test_a_run_without_a_validation_has_no_figures(tmp_path):
    folder = RunFolder(tmp_path, ticks=1, status=None).write()
    (folder / "metrics.csv").write_text("")
    assert figures_of(read_run(folder)) == {}


def test_legends_stand_below_the_panels(tmp_path):
    run = read_run(RunFolder(tmp_path, **RUNS["grown"]).write())
    for figure in figures_of(run).values():
        figure.canvas.draw()
        top = figure.legends[0].get_window_extent().y1
        assert all(axes.get_window_extent().y0 > top for axes in figure.axes)


def test_stretches_follow_each_other_and_fill_the_run(tmp_path):
    run = read_run(RunFolder(tmp_path, **RUNS["grown"]).write())
    found = stretches(run, "stages.0")
    assert found[0].start == 0
    assert found[-1].end == 20
    assert all(before.end == after.start for before, after in pairwise(found))
    assert [part.stage for part in found] == [
        *(Stage.DORMANT, Stage.TRAINING, Stage.BLENDING, Stage.HOLDING),
        *(Stage.EMBARGOED, Stage.DORMANT),
    ]


def test_a_lane_shows_the_colours_of_its_stages(tmp_path):
    run = read_run(RunFolder(tmp_path, **RUNS["grown"]).write())
    bars = lanes(run).axes[0].collections
    shown = {to_hex(colour) for bar in bars for colour in bar.get_facecolor()}
    assert {STAGE_COLOURS[part.stage] for part in stretches(run, "stages.1")} <= shown


def test_alpha_rises_from_zero_only_where_the_seed_acts(tmp_path):
    run = read_run(RunFolder(tmp_path, **RUNS["grown"]).write())
    x, alpha = alpha_steps(run, "stages.1")
    finite = [(at, value) for at, value in zip(x, alpha, strict=True) if math.isfinite(value)]
    assert x == sorted(x)
    assert finite[0] == (5, 0.0)
    assert finite[-1] == (20, 1.0)
    assert [value for _, value in finite] == sorted(value for _, value in finite)
    assert all(at >= 5 for at, _ in finite)


def test_a_seed_that_never_blended_has_no_alpha(tmp_path):
    moves = [Move(1, "stages.0", Event.GERMINATE, "se"), Move(2, "stages.0", Event.PRUNE)]
    run = read_run(RunFolder(tmp_path, ticks=4, moves=moves).write())
    assert all(math.isnan(value) for value in alpha_steps(run, "stages.0")[1])


def test_parameters_go_when_their_seed_is_pruned(tmp_path):
    moves = [Move(1, "stages.0", Event.GERMINATE, "mlp"), Move(3, "stages.0", Event.PRUNE)]
    run = read_run(RunFolder(tmp_path, ticks=4, moves=moves).write())
    _, seeds = growth(run).axes[0].collections
    (corners,) = (path.vertices for path in seeds.get_paths())
    top = {x: corners[corners[:, 0] == x, 1].max() for x in (0, 1, 3, 4)}
    assert top == {0: 774, 1: 774 + 900, 3: 774 + 900, 4: 774}


def groups_of(tmp_path, **options):
    long = "controller=a_controller_with_a_very_long_name_that_no_legend_has_room_for"
    runs = [
        RunFolder(
            tmp_path / f"{name}{blend}{seed}",
            seed=seed,
            overrides=(name, f"blend={blend}", f"seed={seed}"),
            **options,
        )
        for name in ("controller=none", long)
        for blend in ("add", "gate")
        for seed in (0, 1)
    ]
    return compare(group([read_run(run.write()) for run in runs]))


@pytest.mark.parametrize("width", [frame.WIDE, frame.NARROW])
@pytest.mark.parametrize("ticks", [1, 4])
def test_groups_can_be_compared(tmp_path, ticks, width):
    figures = figures_of_groups(groups_of(tmp_path, ticks=ticks), width=width)
    assert set(figures) == {"tradeoff", "differences", "effects", "comparison"}
    for figure in figures.values():
        figure.set_dpi(40)
        figure.canvas.draw()
        assert figure.get_figwidth() == width


def test_what_has_no_data_has_no_figure(tmp_path):
    """One configuration: nothing to be paired with, and no axis."""
    assert set(figures_of_groups(compared(tmp_path, {"a": [0.5]}))) == {"tradeoff", "comparison"}


@pytest.mark.parametrize("spread", [0.0, 0.001, 0.04, 0.2])
def test_costs_of_one_budget_do_not_look_apart(spread):
    axes = Figure().subplots()
    axes.plot([1e9, (1 + spread) * 1e9], [0.5, 0.6], "o")
    fitted = axes.get_xlim()
    assert versus.flop_axis(axes, [1e9, (1 + spread) * 1e9]) == "training compute (GFLOP)"
    low, high = axes.get_xlim()
    assert low <= 1e9 <= (1 + spread) * 1e9 <= high
    wide = (high - low) / high > 0.09
    assert wide if spread < 0.05 else (low, high) == fitted
