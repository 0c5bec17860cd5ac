"""The life of each seed, put together from the decisions about its slot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kasmina.report.records import Decision, Moment
from kasmina.stage import ROLLBACK, Stage

KEPT, PRUNED, OPEN = "kept", "pruned", "open"
ACTS = frozenset({Stage.BLENDING, Stage.HOLDING, Stage.FOSSILIZED})
"""Stages in which a seed acts on the network."""

_FATES = {Stage.FOSSILIZED: KEPT, Stage.PRUNED: PRUNED}


@dataclass(frozen=True, slots=True)
class Life:
    """One seed from germination to its fate; moments that have not come are None.

    Args:
        blended: when its alpha first began to rise.
        ended: when it was fossilized or pruned.
        stage: the stage it was last moved to.
        reason: why it was last moved.
    """

    site: str
    blueprint: str
    germinated: Moment
    stage: Stage
    reason: str
    parameters: int = 0
    blended: Moment | None = None
    ended: Moment | None = None

    @property
    def fate(self) -> str:
        """``kept``, ``pruned`` or ``open``."""
        return _FATES.get(self.stage, OPEN)

    def after(self, move: Decision) -> "Life":
        """The life with one more move."""
        blends = self.blended is None and move.after is Stage.BLENDING
        return replace(
            self,
            stage=move.after,
            reason=move.reason,
            parameters=self.parameters or move.seed.parameters,
            blended=move.when if blends else self.blended,
            ended=move.when if move.after in _FATES else self.ended,
        )


def _born(move: Decision) -> Life:
    seed = move.seed
    return Life(move.site, seed.blueprint, move.when, move.after, move.reason, seed.parameters)


def lives_of(events: Iterable[Decision]) -> list[Life]:
    """Every seed that germinated, in order of germination."""
    lives: list[Life] = []
    present: dict[str, int] = {}
    for move in events:
        if move.after is Stage.GERMINATED and move.event != ROLLBACK:
            present[move.site] = len(lives)
            lives.append(_born(move))
        elif move.event == ROLLBACK:
            _put_back(lives, present, move)
        elif move.site in present:
            at = present[move.site]
            lives[at] = lives[at].after(move)
            if move.after in _FATES:
                del present[move.site]
    return lives


def _put_back(lives: list[Life], present: dict[str, int], move: Decision) -> None:
    """The last seed of the slot stands where it once stood, or is gone."""
    own = [at for at, life in enumerate(lives) if life.site == move.site]
    if not own:
        return
    lives[own[-1]] = replace(lives[own[-1]], ended=None).after(move)
    present.pop(move.site, None)
    if move.after not in _FATES:
        present[move.site] = own[-1]


def first_blending(lives: Sequence[Life]) -> Moment | None:
    """When the first seed began to act on the network; None if none did."""
    blended = [life.blended for life in lives if life.blended is not None]
    return min(blended, key=lambda when: when.tick, default=None)
