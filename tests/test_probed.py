"""What a probe found, as a picture and as tables."""

from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from kasmina.probe import Score, pooled
from kasmina.probed import picture, ranked, slots


def made(sites: int, blueprints: int) -> list[Score]:
    return [
        Score(f"stages.{at}", f"conv_{kind}", 10.0 / (1 + at + kind), 0.3, 100 * kind + 5)
        for at in range(sites)
        for kind in range(blueprints)
    ]


@pytest.mark.parametrize(("sites", "blueprints"), [(1, 1), (3, 5)])
def test_every_candidate_has_a_bar_with_its_words_and_every_slot_a_colour(
    sites: int, blueprints: int
) -> None:
    scores = made(sites, blueprints)
    figure = picture(scores, criterion="dual")
    figure.canvas.draw()
    (axes,) = figure.axes
    words = [text.get_text() for text in axes.get_yticklabels()]
    assert words == [f"{it.site}  {it.blueprint}" for it in scores]
    assert sorted(bar.get_width() for bar in axes.patches) == sorted(it.value for it in scores)
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 1 for upper, lower in pairwise(boxes))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"stages.{n}" for n in range(sites)]
    assert len({bar.get_facecolor() for bar in axes.patches}) == sites


def test_more_slots_than_colours_have_one_colour_and_no_legend() -> None:
    figure = picture(made(8, 1), criterion="dual")
    assert len({bar.get_facecolor() for bar in figure.axes[0].patches}) == 1
    assert not figure.legends


def test_the_tables_say_score_error_parameters_and_the_best_of_each_slot() -> None:
    console = Console(width=160, file=StringIO(), record=True)
    scores = [Score("a", "x", 2.0, 0.25, 1000, 0.5), Score("b", "y", 1.0, 0.1, 10)]
    console.print(ranked(scores), slots(pooled(scores)))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["1", "a", "x", "2", "0.25", "0.5", "1,000", "0.002"] in lines
    assert ["a", "2"] in lines
