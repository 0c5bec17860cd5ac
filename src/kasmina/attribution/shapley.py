"""The Shapley value of every grown seed: its mean gain over all orders in which seeds are added.

Shapley 1953, https://doi.org/10.1515/9781400881970-018. The values of all seeds sum up to what
they bring together, which ablation's do not. Up to ten seeds all 2^n configurations are evaluated;
above, permutations are drawn (Castro et al. 2009, https://doi.org/10.1016/j.cor.2008.04.004).
"""

import random
from collections.abc import Mapping, Sequence
from math import factorial
from typing import Any

import torch
from torch import Tensor

from kasmina.attribution import fused
from kasmina.attribution.base import Record, Say, Subject, compare
from kasmina.flops import counter
from kasmina.graft import call
from kasmina.rng import derive
from kasmina.slot import SeedSlot

NAME = "shapley"
MOST_EXACT = 10  # seeds, of which all configurations are evaluated


def shapley(
    subject: Subject, slots: Sequence[SeedSlot], say: Say, *, permutations: int = 64
) -> list[Record]:
    """A record a seed; the others are players too, whichever of them are asked for.

    Args:
        permutations: drawn where there are more than ``MOST_EXACT`` seeds.

    Raises:
        ValueError: fewer than two permutations, from which no error can be told.
    """
    if permutations < 2:
        raise ValueError(f"an error is told from at least 2 permutations, not {permutations}")
    players = subject.grown()
    way = fused.best_way(subject, players)
    if len(players) <= MOST_EXACT:
        masks = list(range(1 << len(players)))
        scores = way(subject, players, masks)
        found = shapley_values(list(scores), len(players))
        errors = [0.0] * len(players)
    else:
        orders = drawn_orders(len(players), permutations, seed=subject.config["seed"])
        masks = sorted({mask for order in orders for mask in _chain(order)})
        value = dict(zip(masks, way(subject, players, masks), strict=True))
        found, errors = sampled_values(value, orders)
    say(1, 1)
    cost = _price(subject, players, masks, way)
    asked = {slot.site.name for slot in slots}
    return [
        compare(subject, [slot], gains, method=NAME, flops=cost, error=error)
        for slot, gains, error in zip(players, found, errors, strict=True)
        if slot.site.name in asked
    ]


def shapley_values(value: Sequence[Any], number: int) -> list[Any]:
    """Exact Shapley values of ``number`` players.

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S and i) - v(S))

    Args:
        value: of each coalition; bit i of its place is set where player i takes part. Fractions
            give exact values; tensors are taken element by element.
    """
    found = []
    for player in range(number):
        gains = [
            factorial(size) * factorial(number - size - 1) * (value[mask | 1 << player] - lone)
            for mask, lone in enumerate(value)
            if not mask >> player & 1
            for size in [mask.bit_count()]
        ]
        found.append(sum(gains[1:], gains[0]) / factorial(number))
    return found


def drawn_orders(number: int, permutations: int, *, seed: int) -> list[tuple[int, ...]]:
    """Orders of the players, each drawn one followed by its reverse, which lowers the variance."""
    generator = random.Random(derive(NAME, seed))
    found: list[tuple[int, ...]] = []
    for _ in range(-(-permutations // 2)):
        order = tuple(generator.sample(range(number), number))
        found += [order, order[::-1]]
    return found


def sampled_values(
    value: Mapping[int, Tensor], orders: Sequence[tuple[int, ...]]
) -> tuple[list[Tensor], list[float]]:
    """Estimates from orders that come in pairs, and the standard errors of their means.

    Args:
        value: of each coalition that the orders pass, (N,).
    """
    gains = torch.stack([_gains(value, order) for order in orders])  # (orders, players, N)
    pairs = torch.unflatten(gains.mean(2), 0, (-1, 2)).mean(1)  # a pair is one draw
    errors = pairs.std(0) / len(pairs) ** 0.5 if len(pairs) > 1 else pairs[0] * torch.nan
    return list(gains.mean(0)), errors.tolist()


def _gains(value: Mapping[int, Tensor], order: tuple[int, ...]) -> Tensor:
    masks = _chain(order)
    gains = {
        player: value[after] - value[before]
        for player, before, after in zip(order, masks, masks[1:], strict=False)
    }
    return torch.stack([gains[player] for player in range(len(order))])


def _chain(order: tuple[int, ...]) -> list[int]:
    """The coalitions that an order passes, from none to all."""
    masks = [0]
    for player in order:
        masks.append(masks[-1] | 1 << player)
    return masks


def _price(
    subject: Subject, slots: Sequence[SeedSlot], masks: Sequence[int], way: fused.Way
) -> float:
    """FLOPs of all values together."""
    share = float(len(masks))
    if way is fused.tree:
        model = subject.module.model
        inputs = subject.module.lay_out(subject.data.example())[0]
        with torch.inference_mode(), counter() as plain:
            call(model, inputs)
        with torch.inference_mode(), counter() as doubled:
            fused.by_tree(model, slots, inputs)
        share = doubled.get_total_flops() / plain.get_total_flops()
    return share * subject.samples * subject.price.evaluation
