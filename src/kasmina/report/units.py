"""Numbers as people read them: FLOPs, parameters, seconds, metrics."""

import math

_FLOP_UNITS = ((1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"))
_SHARES = ("accuracy", "acc", "f1", "precision", "recall")  # in [0, 1], shown as percent
_WORDS = {
    "bpc": "bits per character",
    "bpb": "bits per byte",
    "nats": "nats",
    "acc": "accuracy",
    "f1": "F1",
}
_SPLITS = {"val": "validation", "train": "training", "test": "test"}
NOTHING = "-"
"""What stands where there is no number."""


def digits(value: float, places: int = 3) -> str:
    """``value`` to ``places`` significant digits, without an exponent where it stays short."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size < 7:
        return f"{value:.{places - 1}e}"
    return f"{value:,.{max(0, places - 1 - size)}f}"


def flop_unit(value: float) -> tuple[float, str]:
    """The size and name of the unit that suits ``value`` FLOPs, e.g. ``(1e9, "GFLOP")``."""
    return next(((size, name) for size, name in _FLOP_UNITS if value >= size), (1.0, "FLOP"))


def flops(value: float) -> str:
    """``1.23e10`` as ``12.3 GFLOP``."""
    if not math.isfinite(value):
        return NOTHING
    size, name = flop_unit(value)
    return f"{digits(value / size)} {name}" if value else "0 FLOP"


def count(value: float) -> str:
    """``4340`` as ``4,340``; from a million on, ``1.23 M``."""
    if not math.isfinite(value):
        return NOTHING
    for size, name in ((1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{digits(value / size)} {name}"
    return f"{value:,.0f}"


def number(value: float) -> str:
    """A number of unknown meaning: whole ones as they are, others to three digits."""
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e9
    return f"{value:,.0f}" if whole else digits(value)


def seconds(value: float) -> str:
    """``192`` as ``3 min 12 s``."""
    if not math.isfinite(value):
        return NOTHING
    if value < 59.95:
        return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def epoch(done: float) -> str:
    """Epochs trained, in hundredths where they are not whole."""
    return f"{done:,.2f}".rstrip("0").rstrip(".")


def percent(share: float) -> str:
    """``0.123`` as ``12 %``; one decimal below ten percent."""
    if not math.isfinite(share):
        return NOTHING
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.0f} %" if abs(share) >= 0.0995 else f"{100 * share:.1f} %"


def is_share(name: str) -> bool:
    """Whether a metric is a fraction in [0, 1] that reads better as percent."""
    return name.rpartition("/")[2].lower() in _SHARES


def metric(name: str, value: float) -> str:
    """The value of a metric: shares as percent, the others as they are."""
    if not math.isfinite(value):
        return NOTHING if math.isnan(value) else str(value)
    return f"{100 * value:.1f} %" if is_share(name) and abs(value) <= 1 else digits(value, 4)


def change(name: str, value: float) -> str:
    """The size of a difference of a metric: shares in points."""
    value = abs(value)
    return f"{100 * value:.1f} points" if is_share(name) else digits(value)


def signed(name: str, value: float) -> str:
    """A difference with its sign: ``+1.2 points``."""
    if math.isnan(value):
        return NOTHING
    return f"{'-' if value < 0 else '+'}{change(name, value)}" if value else change(name, value)


def interval(name: str, low: float, high: float, *, signed: bool = False) -> str:
    """``95.1 to 96.3 %``; of a difference, with signs: ``-0.4 to +1.2 points``."""
    if math.isnan(low) or math.isnan(high):
        return NOTHING
    if is_share(name) and max(abs(low), abs(high)) <= 1:
        ends, unit = [f"{100 * end:.1f}" for end in (low, high)], " points" if signed else " %"
    else:
        ends, unit = [digits(end, 4) for end in (low, high)], ""
    signs = ["+" if signed and float(end.replace(",", "")) > 0 else "" for end in ends]
    return f"{signs[0]}{ends[0]} to {signs[1]}{ends[1]}{unit}".replace("-0.0 ", "0.0 ")


def probability(value: float) -> str:
    """A p-value; of a very small one, the bound that it is below."""
    if math.isnan(value):
        return NOTHING
    return "< 0.0001" if value < 1e-4 else digits(value, 2)


def spread(name: str, mean: float, deviation: float) -> str:
    """``95.7 ± 0.4 %``; without the spread where it is nan (one run)."""
    if math.isnan(deviation) or math.isnan(mean):
        return metric(name, mean)
    if is_share(name) and abs(mean) <= 1:
        return f"{100 * mean:.1f} ± {100 * deviation:.1f} %"
    return f"{digits(mean, 4)} ± {digits(deviation, 2)}"


def label(name: str) -> str:
    """``val/accuracy`` as ``validation accuracy``."""
    split, _, bare = name.rpartition("/")
    words = [_SPLITS.get(split, split), _WORDS.get(bare, bare.replace("_", " "))]
    return " ".join(word for word in words if word)


def plural(number: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shorten(text: str, limit: int) -> str:
    """Cut the middle out of a text longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def sentence(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]
