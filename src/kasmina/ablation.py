"""What an ablation asks: axes, seeds, and the jobs that they make in the order in which they run.

A level of an axis is a list of overrides. One that needs another's run, as a network trained at the
compute of a grown one does, writes ``{level}`` where that run's folder is to stand: the run of the
same seed, with the same levels on all other axes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from kasmina.suggest import unknown

PLAN = "ablation.json"
"""In a multirun's folder: what was asked and which job is which, for the report."""

MEASURES = ("score", "seconds_per_step")
"""The monitored metric, or how long an optimizer step takes, growth and validation included."""

_RUN_OF = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Level:
    """One choice on an axis.

    Attributes:
        label: in tables and figures.
        overrides: that make it.
        needs: the labels of levels of the same axis whose runs it reads.
    """

    label: str
    overrides: tuple[str, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """In the order in which they are named."""
        return tuple(dict.fromkeys(_RUN_OF.findall(" ".join(self.overrides))))


@dataclass(frozen=True)
class Job:
    """One run of an ablation.

    Attributes:
        number: within the multirun; what a job needs has a lower one.
        levels: their labels, by axis.
        seed: of the run.
        overrides: with ``{level}`` where the folder of another run is to stand.
        needs: the job whose folder that is, by the name that stands there.
        wave: jobs of wave 0 need none; those of wave n need one of wave n - 1.
    """

    number: int
    levels: tuple[str, ...]
    seed: int
    overrides: tuple[str, ...]
    needs: Mapping[str, int] = field(default_factory=dict)
    wave: int = 0

    @property
    def label(self) -> str:
        """The labels of its levels; runs that differ only in the seed share it."""
        return ", ".join(self.levels)

    def told(self, folders: Mapping[int, str]) -> list[str]:
        """The overrides, with the folders of the jobs it needs.

        Args:
            folders: by number, as an override writes a path.
        """

        def folder(found: re.Match[str]) -> str:
            return folders[self.needs[found[1]]]

        return [_RUN_OF.sub(folder, text) for text in self.overrides]

    def alone(self) -> list[str]:
        """The overrides that need no other run, which can be checked before any has ended."""
        return [text for text in self.overrides if not _needy(text, self.overrides)]


def _needy(text: str, overrides: Sequence[str]) -> bool:
    """Whether an override needs a run, or is of the group whose option does."""
    group = text.partition("=")[0].partition(".")[0]
    return any(
        _RUN_OF.search(each) and (each == text or each.startswith(f"{group}."))
        for each in overrides
    )


@dataclass(frozen=True)
class Ablation:
    """Axes, seeds, and the arm that the others are held against.

    Raises:
        ValueError: an axis without a level, no seed, a level or a baseline that is none of those
            there are, or levels that need each other.
    """

    question: str
    axes: Mapping[str, Sequence[Level]]
    seeds: Sequence[int]
    baseline: str
    measure: str = "score"

    @classmethod
    def of(
        cls,
        *,
        axes: Mapping[str, Any],
        seeds: Sequence[int],
        question: str = "",
        baseline: str | None = None,
        measure: str = "score",
    ) -> "Ablation":
        """From plain values, as a yaml file has them.

        Args:
            axes: by name, either the values of the config key of that name, or overrides (one, or
                a list) by the label of a level.
            seeds: of the runs of every arm.
            question: in words.
            baseline: the label of an arm, or of a level: the first arm with it; None: the first.
            measure: what arms are compared by, one of ``MEASURES``.
        """
        if measure not in MEASURES:
            raise ValueError(f"measure: {unknown('measure', measure, MEASURES)}")
        levels = {str(axis): _levels(str(axis), each) for axis, each in axes.items()}
        labels = [", ".join(each) for each in product(*map(_labels, levels.values()))]
        arms = [label for label in labels if baseline in (None, label, *label.split(", "))]
        if not arms:
            raise ValueError(f"baseline: {unknown('arm', str(baseline), labels)}")
        if not _are_seeds(seeds):
            raise ValueError(f"seeds: {seeds} came; possible: different whole numbers")
        return cls(str(question or ""), levels, list(seeds), arms[0], measure)

    def jobs(self) -> list[Job]:
        """Every run, by number: waves first, then seeds, then arms."""
        waves = {axis: _waves(axis, levels) for axis, levels in self.axes.items()}
        arms = list(product(*self.axes.values()))
        rows = []
        for seed, arm in product(self.seeds, arms):
            wave = sum(waves[axis][level.label] for axis, level in zip(self.axes, arm, strict=True))
            rows.append((wave, seed, arm))
        rows.sort(key=lambda row: row[0])
        numbers = {(seed, _label(arm)): number for number, (_, seed, arm) in enumerate(rows)}
        return [
            Job(
                number=numbers[seed, _label(arm)],
                levels=tuple(_labels(arm)),
                seed=seed,
                overrides=(*(text for each in arm for text in each.overrides), f"seed={seed}"),
                needs=dict(self._needs(seed, arm, numbers)),
                wave=wave,
            )
            for wave, seed, arm in rows
        ]

    def samples(self) -> list[Job]:
        """Jobs of the first seed that have every level once: what is wrong with one shows there."""
        first = [levels[0].label for levels in self.axes.values()]
        return [
            job
            for job in self.jobs()
            if job.seed == self.seeds[0]
            and sum(own != of_all for own, of_all in zip(job.levels, first, strict=True)) <= 1
        ]

    def _needs(
        self, seed: int, arm: Sequence[Level], numbers: Mapping[tuple[int, str], int]
    ) -> Iterator[tuple[str, int]]:
        for at, level in enumerate(arm):
            for name in level.needs:
                other = next(each for each in self._axis(at) if each.label == name)
                beside = (*arm[:at], other, *arm[at + 1 :])
                yield name, numbers[seed, _label(beside)]

    def _axis(self, at: int) -> Sequence[Level]:
        return list(self.axes.values())[at]

    def record(self, name: str) -> dict[str, Any]:
        """Plain values for the report, which need not know how overrides are written."""
        return {
            "name": name,
            "question": self.question,
            "axes": {axis: _labels(levels) for axis, levels in self.axes.items()},
            "baseline": self.baseline,
            "measure": self.measure,
            "arms": [
                {
                    "number": job.number,
                    "label": job.label,
                    "seed": job.seed,
                    "overrides": list(job.overrides),
                }
                for job in self.jobs()
            ],
        }


def _are_seeds(seeds: Any) -> bool:
    """Whether these are different whole numbers, one at least."""
    if not isinstance(seeds, Sequence) or not all(type(seed) is int for seed in seeds):
        return False
    return 0 < len(seeds) == len(set(seeds))


def _levels(axis: str, values: Any) -> list[Level]:
    """The levels of an axis, from values of a key or from overrides by label."""
    if isinstance(values, Mapping):
        found = [Level(str(label), _overrides(axis, label, each)) for label, each in values.items()]
    elif isinstance(values, Sequence) and not isinstance(values, str):
        texts = [f"{axis}={_written(value)}" for value in values]
        found = [Level(text, (text,)) for text in texts]
    else:
        raise ValueError(f"axes.{axis}: {values!r} came; possible: a list, a mapping of overrides")
    if not found or len(set(_labels(found))) < len(found):
        raise ValueError(f"axes.{axis}: needs different levels, one at least")
    return found


def _overrides(axis: str, label: object, said: Any) -> tuple[str, ...]:
    texts = [] if said is None else said if isinstance(said, list | tuple) else [said]
    wrong = [text for text in texts if not isinstance(text, str) or "=" not in text]
    if wrong:
        raise ValueError(f"axes.{axis}.{label}: {wrong[0]!r} came; possible: key=value")
    return tuple(texts)


def _written(value: Any) -> str:
    """A value as an override writes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_written, value))}]"
    return str(value)


def _labels(levels: Sequence[Level]) -> list[str]:
    return [level.label for level in levels]


def _label(arm: Sequence[Level]) -> str:
    return ", ".join(_labels(arm))


def _waves(axis: str, levels: Sequence[Level]) -> dict[str, int]:
    """How many runs have to end, one after the other, before that of each level can start."""
    needs = {level.label: level.needs for level in levels}
    wrong = [name for level in levels for name in level.needs if name not in needs]
    if wrong:
        raise ValueError(f"axes.{axis}: {unknown('level', wrong[0], needs)}")
    waves: dict[str, int] = {}
    while len(waves) < len(needs):
        ready = {
            label: max((waves[name] + 1 for name in named), default=0)
            for label, named in needs.items()
            if label not in waves and all(name in waves for name in named)
        }
        if not ready:
            circle = ", ".join(label for label in needs if label not in waves)
            raise ValueError(f"axes.{axis}: levels that need each other: {circle}")
        waves |= ready
    return waves
