"""Read run folders, and tell in words, tables and pictures what grew and what it cost."""

from kasmina.report.figures import figures_of
from kasmina.report.parse import RunError
from kasmina.report.records import Run
from kasmina.report.runs import find_runs, read_run, read_runs
from kasmina.report.terminal import summary_lines
from kasmina.report.write import write_report

__all__ = [
    "Run",
    "RunError",
    "figures_of",
    "find_runs",
    "read_run",
    "read_runs",
    "summary_lines",
    "write_report",
]
