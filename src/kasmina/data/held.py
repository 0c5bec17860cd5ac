"""Parts of the training data that are held out of training: for gates, and for races."""

import torch

from kasmina.data.samples import Samples, Windows
from kasmina.data.split import stratified_order

InMemory = Samples | Windows

_LEAST = 2  # samples that are left for training: two are the example of a shape


def hold_out(train: InMemory, *, gate: int, race: int) -> dict[str, InMemory]:
    """What is left to train on, and the parts that are not empty; no two share anything.

    Samples with one class each are held out by class, in the proportions of the whole, wherever
    in the data they lie; what is left keeps its order. Of other samples the last are taken, and of
    a text its end: windows that do not overlap, no token of which is in what is left. A part that
    grows keeps what it had, and the race's size does not move the gate's part.

    Args:
        gate: samples, or windows of a text.
        race: the same.

    Raises:
        ValueError: nothing is left to train on.
    """
    if isinstance(train, Windows):
        held, what = _windows(train, {"gate": gate, "race": race}), "windows"
    else:
        held, what = _samples(train, {"gate": gate, "race": race}), "samples"
    if held is None:
        raise ValueError(
            f"data.gate_size {gate} and data.race_size {race} leave too few of the {len(train)} "
            f"training {what} to train on"
        )
    return held


def _samples(train: Samples, sizes: dict[str, int]) -> dict[str, InMemory] | None:
    targets = train.targets
    by_class = targets.dim() == 1 and not targets.is_floating_point()
    order = stratified_order(targets, 0) if by_class else torch.arange(len(targets))
    parts: dict[str, InMemory] = {}
    end = len(order)
    for part, size in {**sizes, "train": end - sum(sizes.values())}.items():
        if part == "train" and size < _LEAST:
            return None
        rows = order[end - size : end].sort().values
        end -= size
        if size:
            parts[part] = Samples(train.inputs[rows], targets[rows])
    return parts


def _windows(train: Windows, sizes: dict[str, int]) -> dict[str, InMemory] | None:
    tokens, context = train.tokens, train.context
    parts: dict[str, InMemory] = {}
    end = len(tokens)
    for part, windows in sizes.items():
        size = windows * context + 1 if windows else 0  # a target more than inputs
        if end - size < context + _LEAST:
            return None
        if windows:
            parts[part] = Windows(tokens[end - size : end].clone(), context, stride=context)
        end -= size
    return {**parts, "train": Windows(tokens[:end].clone(), context, stride=train.stride)}
