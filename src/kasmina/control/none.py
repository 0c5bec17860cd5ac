"""The network as it is: the baseline of every claim."""

from kasmina.control.observation import Decision, Observation


class NoGrowth:
    """Decides nothing."""

    def decide(self, seen: Observation) -> list[Decision]:
        """No move."""
        return []
