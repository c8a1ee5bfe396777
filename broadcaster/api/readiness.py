"""Whether the station is on air, judged from a playout status and the relay's page: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from broadcaster.relay.stat import RelayStat
from broadcaster.wire import Message

FRESH_IDR_S = 3.0
"""An IDR within this age means that pictures arrive (three intervals of the default grid)."""

LATE_MS = 500.0
"""Ticks later than this are not on time; re-anchoring begins at twice as much."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ready or not, and why in one sentence."""

    ready: bool
    reason: str


def judge(playout: Message | None, relay: RelayStat | None, has_stat: bool) -> Verdict:
    """Judge one look at the station; ``has_stat`` tells that the relay has a page to agree."""
    if playout is None or not playout.get("ok"):
        return Verdict(False, "the playout does not answer")
    late_ms = float(playout.get("late_ms") or 0.0)
    if late_ms > LATE_MS:
        return Verdict(False, f"ticks are {late_ms:.0f} ms late")
    channels = playout.get("channels") or []
    if not channels:
        return Verdict(False, "no channel is on air yet")
    for channel in channels:
        if fault := _fault(channel, relay, has_stat):
            return Verdict(False, f"channel {channel.get('name')}: {fault}")
    return Verdict(True, "on air")


def _fault(channel: dict[str, Any], relay: RelayStat | None, has_stat: bool) -> str:
    destinations = channel.get("destinations") or []
    own_relay = [d for d in destinations if d.get("name") == "relay"]
    if not any(_reached(d) for d in own_relay or destinations):
        return "no picture has reached the relay" if own_relay else "no destination is reached"
    if not own_relay or not has_stat:
        return ""
    if relay is None:
        return "the relay does not answer"
    stream = relay.stream(str(channel.get("name")))
    return "" if stream is not None and stream.publishing else "the relay has no such stream"


def _reached(destination: dict[str, Any]) -> bool:
    age_s = destination.get("last_idr_age_s")
    fresh = isinstance(age_s, int | float) and age_s < FRESH_IDR_S
    return fresh and destination.get("state") == "on_air"
