"""The opening paragraph says what happened, also where that is nothing."""

import json

import pytest
from _runs import RunFolder, life

from kasmina.report.runs import read_run
from kasmina.report.words import opening

NAN = float("nan")


def said(folder, **options):
    return " ".join(opening(read_run(RunFolder(folder, **options).write())))


def test_a_grown_run_says_what_grew_what_it_cost_and_what_it_bought(tmp_path):
    moves = [*life("stages.1", "conv_heavy", 4), *life("stages.0", "norm", 6, keep=False)]
    text = said(tmp_path, ticks=30, moves=moves)
    for part in (
        "finished after 30 epochs (600 steps)",
        "2 seeds germinated. 1 was kept: conv_heavy at stages.1 (epoch 4 to 15).",
        "1 was pruned: norm at stages.0 (epoch 6 to 17).",
        "Training cost",
        "for incubating seeds",
        "went to seeds that were pruned later",
        "before the first seed was blended in it stood at",
        "The test accuracy is",
        "went from 774 parameters (host) to 2,624, 3.39 times as many",
        "a static host of the same size or compute",
        "conv_heavy at stages.1 made it 8.0 points better. This ablation overstates",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"sites": ()}, "The host has no slots, so nothing could grow."),
        ({}, "Nothing grew: no seed germinated in its 2 slots"),
        ({"status": None}, "Nothing grew so far"),
        ({"status": None}, "is unfinished, so everything here is provisional"),
        ({"status": "interrupted"}, "was interrupted after 20 epochs"),
        ({"status": "diverged"}, "diverged, and was stopped after 20 epochs"),
        ({"moves": life("stages.0", "se", 2, keep=False)}, "1 seed germinated and was pruned"),
        ({"moves": life("stages.0", "se", 2, keep=False)}, "Nothing was kept"),
        ({"moves": life("stages.0", "se", 18)}, "None began to blend"),
        ({"moves": life("stages.0", "se", 10)[:3]}, "se at stages.0 (blending, born in epoch 10)"),
        ({"test": False}, "It was not tested."),
        ({"values": {"val/accuracy": [NAN] * 20}}, "No validation gave a finite value"),
        ({"values": {"val/accuracy": [0.5] * 19 + [NAN]}}, "ended without a finite value"),
    ],
)
def test_what_did_not_happen_is_said(tmp_path, options, part):
    if "moves" in options:
        options = {**options, "moves": [m for m in options["moves"] if m.tick <= 20]}
    assert part in said(tmp_path, ticks=20, **options)


@pytest.mark.parametrize(
    ("mode", "last", "word"),
    [("max", 0.4, "worse"), ("max", 0.6, "better"), ("min", 0.4, "better")],
)
def test_better_follows_the_mode(tmp_path, mode, last, word):
    values = {"val/score": [0.5] * 14 + [last]}
    moves = life("stages.0", "se", 2)
    text = said(tmp_path, ticks=15, moves=moves, monitor="val/score", mode=mode, values=values)
    assert f"stood at 0.5000, so the end is 0.100 {word}" in text


def test_many_seeds_are_counted_after_the_first_four(tmp_path):
    sites = tuple(f"blocks.{at}" for at in range(9))
    moves = [move for site in sites for move in life(site, "mlp", 2)]
    assert "(epoch 2 to 13) and 5 others." in said(tmp_path, ticks=20, sites=sites, moves=moves)


def test_the_reason_for_a_failure_is_told_where_there_is_one(tmp_path):
    folder = RunFolder(tmp_path, ticks=2, status="failed").write()
    path = folder / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "reason": "out of memory"}))
    assert "(out of memory)." in " ".join(opening(read_run(folder)))
