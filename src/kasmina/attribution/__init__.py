"""What a seed has brought, by four methods that differ in what the host may do without it."""

from kasmina.attribution.ablation import ablation
from kasmina.attribution.base import ALL, Record, Subject, read_subject
from kasmina.attribution.pruning import Verdict, pruned_checkpoint, triage
from kasmina.attribution.recovery import recovery
from kasmina.attribution.shapley import shapley
from kasmina.attribution.twin import twin, twin_config

METHODS = ("ablation", "recovery", "twin", "shapley")

__all__ = [
    "ALL",
    "METHODS",
    "Record",
    "Subject",
    "Verdict",
    "ablation",
    "pruned_checkpoint",
    "read_subject",
    "recovery",
    "shapley",
    "triage",
    "twin",
    "twin_config",
]
