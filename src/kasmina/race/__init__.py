"""What to grow, and whether: candidates train as seeds behind a still host, and the worse go."""

from kasmina.race.halving import Outcome, race
from kasmina.race.terms import Terms

__all__ = ["Outcome", "Terms", "race"]
