"""Colours: one for every stage, told apart also without hue."""

from itertools import pairwise

from matplotlib.colors import to_rgb

from kasmina.report.palette import STAGE_COLOURS, series, stroke
from kasmina.stage import Stage


def luminance(colour):
    """WCAG's relative luminance, in [0, 1]."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_stage_has_its_own_colour():
    assert set(STAGE_COLOURS) == set(Stage)
    assert len(set(STAGE_COLOURS.values())) == len(Stage)


def test_stages_darken_as_a_seed_commits():
    way = (Stage.GERMINATED, Stage.TRAINING, Stage.BLENDING, Stage.HOLDING, Stage.FOSSILIZED)
    lights = [luminance(STAGE_COLOURS[stage]) for stage in way]
    assert all(before > 1.3 * after for before, after in pairwise(lights))


def test_configurations_do_not_share_a_look():
    looks = [series(at) for at in range(63)]
    assert len(set(looks)) == 63


def test_curves_do_not_share_a_look():
    looks = [(series(at)[0], stroke(at)) for at in range(28)]
    assert len(set(looks)) == 28
