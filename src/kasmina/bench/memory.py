"""Memory that a call allocates, as torch's own allocators count it."""

import gc
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

_CPU = 0  # the profiler's number of the device


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
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        call()
    return _read(_allocations(seen))


def _allocations(seen: profile) -> list[dict[str, Any]]:
    """Bytes of each allocation or release, and what the process held after it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        seen.export_chrome_trace(str(path))
        events: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
    instants = [event for event in events if event.get("name") == "[memory]"]
    instants.sort(key=lambda event: event["ts"])
    return [event["args"] for event in instants if event["args"]["Device Type"] == _CPU]


def _read(events: list[dict[str, Any]]) -> Memory:
    if not events:
        return Memory(0, 0)
    start = events[0]["Total Allocated"] - events[0]["Bytes"]
    most = max(event["Total Allocated"] for event in events)
    allocated = sum(event["Bytes"] for event in events if event["Bytes"] > 0)
    return Memory(int(allocated), max(0, int(most - start)))


def _cuda(call: Callable[[], object]) -> Memory:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start, before = torch.cuda.memory_allocated(), _cuda_total()
    call()
    torch.cuda.synchronize()
    return Memory(_cuda_total() - before, torch.cuda.max_memory_allocated() - start)


def _cuda_total() -> int:
    return int(torch.cuda.memory_stats()["allocated_bytes.all.allocated"])
