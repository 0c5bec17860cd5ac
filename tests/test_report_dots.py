"""Means below their words: whatever the labels, nothing runs off the paper."""

from itertools import pairwise

import pytest
from _compared import compared

from kasmina.report import frame
from kasmina.report.dots import axis_effects, versus_baseline
from kasmina.report.palette import PAPER, VALIDATION

LONG = "a_level_whose_name_was_never_meant_to_be_read_by_anyone_but_its_author"
VALUES = {f"mode={m},ticks={t}": [0.5, 0.61, 0.7] for m in ("x", LONG) for t in (3, 20, 100)}


@pytest.mark.parametrize("width", [frame.WIDE, frame.NARROW])
@pytest.mark.parametrize("draw", [versus_baseline, axis_effects])
def test_all_words_stay_on_the_paper(tmp_path, draw, width):
    figure = draw(compared(tmp_path, VALUES), width=width)
    figure.canvas.draw()
    paper = figure.bbox
    words = [text for axes in figure.axes for text in axes.texts]
    assert words
    for text in words:
        box = text.get_window_extent()
        assert paper.x0 <= box.x0 < box.x1 <= paper.x1, text.get_text()


def test_words_do_not_lie_on_each_other(tmp_path):
    figure = versus_baseline(compared(tmp_path, VALUES), width=frame.NARROW)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))


def test_only_a_shown_difference_is_filled_and_the_best_is_first(tmp_path):
    values = {"a": [0.5, 0.6, 0.7], "b": [0.5, 0.7, 0.6], "c": [0.6, 0.71, 0.8]}
    axes = versus_baseline(compared(tmp_path, values)).axes[0]
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() for line in marks] == [VALIDATION, PAPER]
    assert [text.get_text() for text in axes.texts] == [
        "controller=c: +10.3 points",
        "controller=b: 0.0 points",
    ]


def test_of_a_loss_the_lowest_is_first_and_left_is_better(tmp_path):
    values = {"a": [2.0, 2.1], "b": [2.5, 2.6], "c": [1.5, 1.6]}
    found = compared(tmp_path, values, monitor="val/bpc", mode="min", test=False)
    axes = versus_baseline(found).axes[0]
    assert axes.texts[0].get_text() == "controller=c: -0.500"
    assert axes.get_xlabel().endswith("; left is better")


def test_of_very_many_levels_some_are_drawn_from_the_first_to_the_last(tmp_path):
    found = compared(tmp_path, {f"lr={at}": [at / 100] for at in range(60)}, test=False)
    (axes,) = axis_effects(found).axes
    words = [text.get_text() for text in axes.texts]
    assert (len(words), words[0], words[-1]) == (24, "0: 0.0 %", "59: 59.0 %")
    assert axes.get_title(loc="left") == "lr (24 of 60 levels)"
