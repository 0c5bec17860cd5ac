"""Controllers: an observation in, decisions with reasons out."""

from kasmina.control.base import Controller, Grower
from kasmina.control.biggest import Biggest
from kasmina.control.heuristic import Heuristic
from kasmina.control.none import NoGrowth
from kasmina.control.observation import Decision, Observation, SlotView
from kasmina.control.pace import Pace
from kasmina.control.random import Random
from kasmina.control.schedule import Schedule
from kasmina.control.timing import Periodic, Plateau, Replay

__all__ = [
    "Biggest",
    "Controller",
    "Decision",
    "Grower",
    "Heuristic",
    "NoGrowth",
    "Observation",
    "Pace",
    "Periodic",
    "Plateau",
    "Random",
    "Replay",
    "Schedule",
    "SlotView",
]
