"""The seed against its alpha at 0, nothing trained: the contribution that decisions watch.

Cheap, and too high: the host has adapted to the seed, and is judged before it could do without.
"""

from collections.abc import Sequence

from kasmina.attribution.base import Record, Say, Subject, compare
from kasmina.slot import SeedSlot

NAME = "ablation"


def ablation(subject: Subject, slots: Sequence[SeedSlot], say: Say) -> list[Record]:
    """A record a seed, of the whole network against that with this alpha at 0."""
    whole = subject.scores()
    found = []
    for done, slot in enumerate(slots, 1):
        without = subject.scores({slot.site.name: 0.0})
        cost = 2 * subject.samples * subject.price.evaluation
        found.append(compare(subject, [slot], whole - without, method=NAME, flops=cost))
        say(done, len(slots))
    return found
