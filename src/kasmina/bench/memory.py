"""Memory that a call allocates, as torch's own allocators count it."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Memory:
    """Bytes.

    Args:
        allocated: by all allocations together.
        peak: the most that was held at one moment, above what was held at the start.
    """

    allocated: int
    peak: int


def memory_of(call: Callable[[], object], device: torch.device | str = "cpu") -> Memory:
    """What one ``call`` allocates on ``device``; call it once before, to warm caches."""
    if torch.device(device).type == "cuda":
        return _cuda(call)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        call()
    return _read(list(_allocations(seen)))


def _allocations(seen: profile) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    instants = [event for event in events if event.get("name") == "[memory]"]
    for event in sorted(instants, key=lambda event: event["ts"]):
        if event["args"]["Device Type"] == 0:
            yield int(event["args"]["Bytes"])


def _read(changes: list[int]) -> Memory:
    held = peak = 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return Memory(sum(change for change in changes if change > 0), peak)


def _cuda(call: Callable[[], object]) -> Memory:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start, before = torch.cuda.memory_allocated(), _cuda_total()
    call()
    torch.cuda.synchronize()
    return Memory(_cuda_total() - before, torch.cuda.max_memory_allocated() - start)


def _cuda_total() -> int:
    return int(torch.cuda.memory_stats()["allocated_bytes.all.allocated"])
