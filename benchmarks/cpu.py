"""CPU time and memory of process trees, exact to the nanosecond, without cgroups or root.

Linux keeps one CPU clock per process (all its threads, ended ones too); ``stat`` adds what reaped
children had used. The sum over a tree therefore never forgets a child that came and went inside
the window.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPU_CLOCK = 2  # CPUCLOCK_SCHED: the exact one of the three clocks that a process has


@dataclass(frozen=True, slots=True)
class Memory:
    """One process at one moment."""

    rss_mb: float
    pss_mb: float
    descriptors: int
    threads: int


def parents() -> dict[int, int]:
    """Parent of every living process."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(stat.parent.name)] = int(fields[1])
    return found


def tree(root: int, without: Iterable[int] = ()) -> list[int]:
    """A process and all its descendants; ``without`` are cut off with theirs."""
    cut, of = set(without), parents()
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        if pid in of and pid not in cut:
            found.append(pid)
            pending += [child for child, parent in of.items() if parent == pid]
    return found


def command(pid: int) -> str:
    """The command line, or "" when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def cpu_s(pid: int) -> float:
    """CPU seconds of one process and of the children that it has reaped."""
    try:
        own = time.clock_gettime(~pid << 3 | _CPU_CLOCK)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return own + (int(fields[13]) + int(fields[14])) / _TICKS_PER_S


def tree_cpu_s(roots: Iterable[int], without: Iterable[int] = ()) -> float:
    """CPU seconds of whole trees."""
    cut = tuple(without)
    return sum(cpu_s(pid) for root in roots for pid in tree(root, cut))


def memory(pid: int) -> Memory | None:
    """What a process holds, or None when it has ended."""
    base = Path(f"/proc/{pid}")
    try:
        rollup = (base / "smaps_rollup").read_text().splitlines()
        kib = {line.split()[0]: int(line.split()[1]) for line in rollup[1:]}
        return Memory(
            kib["Rss:"] / 1024,
            kib["Pss:"] / 1024,
            len(os.listdir(base / "fd")),  # noqa: PTH208 - 20 times faster than iterdir
            len(os.listdir(base / "task")),  # noqa: PTH208
        )
    except (OSError, KeyError, IndexError):
        return None


def tree_pss_mb(roots: Iterable[int], without: Iterable[int] = ()) -> float:
    """Proportional memory of whole trees: shared pages are counted once."""
    cut = tuple(without)
    held = [memory(pid) for root in roots for pid in tree(root, cut)]
    return sum(each.pss_mb for each in held if each is not None)
