"""What a controller wants raced, by which rules, and what came of each candidate: numbers only."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """How candidates race, and what a winner has to bring.

    Args:
        shortlist: slots whose candidates race, those of the best probe; None races all. The best
            candidate of each has its turn beside a twin, in the order of the probe, or else of the
            host.
        criterion: a ``kasmina.probe.Criterion``, for the shortlist.
        steps: optimizer steps of the first round; each round after it doubles them.
        rate: share of a seed's learning rate at which candidates train. At full rate a wide one may
            be thrown about in the first steps of its life, and come last in a short race.
        twin: optimizer steps that the network then trains for with a slot's best seed, and its twin
            without: what the host would have learned anyway is no merit of a seed.
        held_out: training samples that judge, where ``data.race_size`` keeps none apart.
        price_parameters: nats of loss that as many parameters as the host has must bring.
        price_flops: nats of loss that a forward as dear as the host's must bring.
        price_seed: nats of loss that a seed must bring whatever its size: the slot that it takes
            can hold nothing better any more.
        confidence: of the one-sided bound below which a winner's utility does not lie.
        tries: seeds that a slot may lose; after that its candidates race no more.
        rest: ticks that a slot is not raced for after a race that nobody has won; each one more in
            a row doubles them, and a winner anywhere ends them.
        share: of the FLOPs that the run is limited to, where it is, the most that races take: none
            is held that would go beyond if it cost what the last one did, or what its steps and
            networks let expect; None: no limit.
        keep_weights: a winner is born, in the slot that it raced in, with the weights that its race
            has trained; or else as any other newborn is.
        spread: slots, at most, in which the best candidate has its turn at once, its own and others
            that its blueprint fits. It wins in all of them or in none; one race answers for all,
            and they grow as timing and room allow, until one of them is pruned.

    Raises:
        ValueError: a number that makes no sense; names it.
    """

    shortlist: int | None = None
    criterion: object | None = None
    steps: int = 10
    rate: float = 1.0
    twin: int = 30
    held_out: int = 512
    price_parameters: float = 0.005
    price_flops: float = 0.005
    price_seed: float = 0.0
    confidence: float = 0.9
    tries: int = 2
    rest: int = 5
    share: float | None = 0.15
    keep_weights: bool = True
    spread: int = 1

    def __post_init__(self) -> None:
        least = {"shortlist": 1, "steps": 1, "twin": 1, "held_out": 2, "tries": 1, "rest": 0}
        least |= {"price_parameters": 0, "price_flops": 0, "price_seed": 0, "spread": 1}
        for name, limit in least.items():
            value = getattr(self, name)
            if value is not None and value < limit:
                raise ValueError(f"race.{name} is at least {limit}, not {value}")
        if self.shortlist is not None and self.criterion is None:
            raise ValueError("race.shortlist needs a race.criterion that scores the slots")
        if self.spread > 1 and self.shortlist != 1:
            raise ValueError(
                f"race.spread {self.spread} needs race.shortlist 1, not {self.shortlist}: what is "
                "best in one slot grows in others too"
            )
        if not 0 < self.confidence < 1:
            raise ValueError(f"race.confidence lies between 0 and 1, not {self.confidence}")
        for name in ("rate", "share"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"race.{name} lies above 0 and is at most 1, not {value}")

    def rent(self, parameters: float, flops: float) -> float:
        """What a seed has to bring, in nats.

        Args:
            parameters: of the seed, over the host's.
            flops: that it adds to a forward, over the network's.
        """
        return self.price_seed + self.price_parameters * parameters + self.price_flops * flops


@dataclass(frozen=True)
class Candidate:
    """A seed that might be grown: a dormant slot, and a blueprint that fits it.

    Args:
        trust: share of what it shows that counts, in (0, 1].
    """

    site: str
    blueprint: str
    trust: float = 1.0

    def __str__(self) -> str:
        return f"{self.blueprint} at {self.site}"


def trust(kept: int, pruned: int) -> float:
    """How much of what a blueprint shows in a race is to be believed, by what became of its seeds.

    1 where none was pruned; a half after the first, where none was kept; the mean of a Beta(1, 0)
    prior. A seed that won its race and was pruned has not kept what it promised.
    """
    return (kept + 1) / (kept + pruned + 1)


@dataclass(frozen=True)
class Lost:
    """Races in a row that were held for a slot and that nobody has won.

    Args:
        count: at least 1.
        tick: of the last.
    """

    count: int
    tick: int


@dataclass(frozen=True)
class Wanted:
    """What a controller asks for before it decides.

    Args:
        candidates: who may race, before the shortlist.
        resting: those of slots that rest from races; a winner may spread to them.
        rules: of the race.
        reason: why now.
        room: candidates that may win.
        most: FLOPs that it may take; where it has to be expected to take more, none is held.
    """

    candidates: tuple[Candidate, ...]
    resting: tuple[Candidate, ...]
    rules: Rules
    reason: str
    room: int = 1
    most: float = math.inf


@dataclass(frozen=True)
class Dear:
    """A race that was not held, since it would have cost more than its share.

    Args:
        tick: at which it was wanted.
        expected, most: FLOPs that it would have cost, and that it might.
    """

    tick: int
    expected: float
    most: float

    def __str__(self) -> str:
        return (
            f"no race is held: it would take {self.expected:.3g} FLOPs, and races may take "
            f"{max(0.0, self.most):.3g} more; possible: a larger controller.race.share, fewer steps"
        )


@dataclass(frozen=True)
class Entry:
    """One candidate after its race. Losses are per sample, in nats, on held-out training data.

    Args:
        tick: of the race.
        site, blueprint: the candidate.
        parameters: that the seed has.
        steps: optimizer steps that it was trained for behind a still host.
        drop: mean loss of the still host minus that with the seed.
        rent: what the seed's parameters and FLOPs have to bring, those in ``others`` included.
        gain: mean loss of the twin, with those that had won before, minus that with this seed as
            well, both trained on; None for those that had no turn beside a twin.
        error: standard error, over samples, of ``gain``, or of ``drop`` where there is none.
        lower: lower confidence bound of the utility; without a gain none.
        won: whether its utility is surely above zero.
        trust: share of drop and gain that counts, by the record of the blueprint in this run.
        others: slots in which the blueprint had its turn at the same time; it wins in all or none.
    """

    tick: int
    site: str
    blueprint: str
    parameters: int
    steps: int
    drop: float
    error: float
    rent: float
    lower: float = -math.inf
    gain: float | None = None
    won: bool = False
    trust: float = 1.0
    others: tuple[str, ...] = ()

    @property
    def utility(self) -> float:
        """What the seed brings, as far as it is trusted, minus its rent."""
        return self.believed(self.drop if self.gain is None else self.gain) - self.rent

    def believed(self, nats: float) -> float:
        """A gain as far as it is trusted; a loss as it is."""
        return min(nats, self.trust * nats)

    def numbers(self) -> dict[str, float]:
        """What a decision rests on."""
        names = ("drop", "gain", "error", "rent", "lower")
        own = {name: getattr(self, name) for name in names}
        known = {name: float(value) for name, value in own.items() if value is not None}
        kept = {"trust": self.trust, "race_steps": float(self.steps)}
        slots = {"slots": 1.0 + len(self.others)} if self.others else {}
        return {"utility": self.utility, **known, **kept, **slots}

    def __str__(self) -> str:
        return f"{self.blueprint} at {self.site}"
