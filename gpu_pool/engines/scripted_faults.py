"""Faults of an engine that strike where a script says: real ones, in the process that runs it.

Part of the simulated engine; drills give them to others, too. Must never be found in what a station
runs by default.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpu_pool.contracts import BatchRefused

LOADING = -1
"""Index of the "picture" before which a fault strikes while loading."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault; ``simulated`` says what its fields mean."""

    fault: str
    picture: int
    task: str | None = None
    after: bool = False
    times: int | None = None
    marks: str = ""
    together: bool = False

    def is_due(self, index: int, task_id: str, after: bool) -> bool:
        """Whether it strikes now; counts it if so."""
        warming_up = index != LOADING and not task_id
        if warming_up or index != self.picture or after != self.after:
            return False
        if self.task is not None and self.task != task_id:
            return False
        return self.times is None or any(self._claim(n) for n in range(self.times))

    def _claim(self, number: int) -> bool:
        mark = Path(self.marks) / f"{self.fault}-{self.picture}-{self.task}-{number}"
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _exit() -> None:
    os._exit(0)  # looks like an orderly end


def _crash() -> None:
    ctypes.string_at(0)  # a segmentation fault


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise() -> None:
    raise RuntimeError("a scripted failure of the device")


def _refuse() -> None:
    raise BatchRefused("a scripted refusal")


def _hang() -> None:
    while True:
        time.sleep(60)


def _hang_with_lock() -> None:
    """Lock a C mutex twice while holding the interpreter's lock: no other thread runs again.

    Not a C sleep: that one ends at the first signal.
    """
    library = ctypes.PyDLL(None)
    mutex = ctypes.create_string_buffer(64)  # all zero: PTHREAD_MUTEX_INITIALIZER
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)


def _flood() -> None:
    line = "a line of a chatty library " * 4 + "\n"
    for _ in range(40_000):  # 4 MB, 60 times what a pipe holds
        sys.stderr.write(line)


FAULTS: Mapping[str, Callable[[], None]] = {
    "exit": _exit,
    "crash": _crash,
    "kill": _kill,
    "stop": _stop,
    "raise": _raise,
    "refuse": _refuse,
    "hang": _hang,
    "hang_with_lock": _hang_with_lock,
    "flood": _flood,
}
