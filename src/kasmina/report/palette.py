"""The one owner of colours. All hold for red-green colour blindness and in grey.

Stages run from pale to deep as a seed commits (yellow to blue, after ColorBrewer's YlGnBu);
what was given up is orange. Configurations take the Okabe-Ito colours without yellow, which
vanishes on white (https://jfly.uni-koeln.de/color/).
"""

from kasmina.stage import Stage

STAGE_COLOURS: dict[Stage, str] = {
    Stage.DORMANT: "#eceff2",
    Stage.GERMINATED: "#f6e8a0",
    Stage.TRAINING: "#a6d9bd",
    Stage.BLENDING: "#4db3c4",
    Stage.HOLDING: "#2c7fb8",
    Stage.FOSSILIZED: "#22427c",
    Stage.PRUNED: "#d55e00",
    Stage.EMBARGOED: "#f5d3bd",
}

INK, MUTED, RULE, PAPER = "#1c2430", "#66707d", "#dde1e6", "#ffffff"
"""Text, secondary text, grid lines, background."""

VALIDATION, TRAINING, BROKEN = "#1f5a99", "#9db2c8", "#b3261e"
"""Curves of a single run, and values that are not finite."""

PART_COLOURS: dict[str, str] = {
    "host": "#8d99a6",
    "main": "#8d99a6",
    "seeds": "#2c7fb8",
    "incubation": "#a6d9bd",
    "evaluation": "#e9c46a",
    "probe": "#b9a44c",
    "race": "#c77c9b",
}
"""Parts of the ledger."""

FATE_COLOURS: dict[str, str] = {
    "kept": STAGE_COLOURS[Stage.FOSSILIZED],
    "pruned": STAGE_COLOURS[Stage.PRUNED],
    "open": STAGE_COLOURS[Stage.BLENDING],
}

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "*")


def series(at: int) -> tuple[str, str]:
    """Colour and marker of the ``at``-th configuration; the first 63 all differ."""
    return SERIES[at % len(SERIES)], MARKERS[at % len(MARKERS)]


LINES: tuple[str | tuple[float, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.6)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
)


def stroke(at: int) -> str | tuple[float, tuple[float, ...]]:
    """Line style of the ``at``-th configuration: it changes where the colours begin anew."""
    return LINES[at // len(SERIES) % len(LINES)]
