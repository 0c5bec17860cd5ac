"""Controllers: an observation in, decisions with reasons out."""

from kasmina.control.base import Choice, Controller, Grower
from kasmina.control.biggest import Biggest
from kasmina.control.entry import Candidate, Entry, Rules, Wanted
from kasmina.control.evidence import Evidence
from kasmina.control.heuristic import Heuristic
from kasmina.control.none import NoGrowth
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.race import Raced, Racer
from kasmina.control.random import Random
from kasmina.control.schedule import Schedule
from kasmina.control.statistical import Statistical
from kasmina.control.timing import Periodic, Plateau, Replay, Score

__all__ = [
    "Biggest",
    "Candidate",
    "Choice",
    "Controller",
    "Decision",
    "Entry",
    "Evidence",
    "Grower",
    "Heuristic",
    "NoGrowth",
    "Observation",
    "Pace",
    "Periodic",
    "Plateau",
    "Raced",
    "Racer",
    "Random",
    "Replay",
    "Rules",
    "Schedule",
    "Score",
    "SlotView",
    "Statistical",
    "Wanted",
]
