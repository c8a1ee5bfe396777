"""The states of a destination, as ``/status`` shows them. A value."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What a destination is doing."""

    CONNECTING = "connecting"
    ON_AIR = "on_air"
    STALLED = "stalled"
    WAITING = "waiting"
    BUSY = "busy"
    ROLLING_OVER = "rolling_over"
    STOPPED = "stopped"
