"""When the station counts as on air."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster.api.readiness import judge
from broadcaster.relay.stat import RelayStat, StreamStat


def destination(name: str = "relay", age_s: float | None = 0.5, state: str = "on_air") -> Any:
    return {"name": name, "state": state, "last_idr_age_s": age_s}


def playout(*destinations: Any, late_ms: float = 0.1) -> Any:
    channel = {"name": "main", "destinations": list(destinations)}
    return {"ok": True, "late_ms": late_ms, "channels": [channel]}


def relay(publishing: bool = True, name: str = "main") -> RelayStat:
    return RelayStat(10.0, (StreamStat(name, publishing, 1, 1, 1, 1.0),))


def test_an_idr_at_a_publishing_relay_is_ready() -> None:
    verdict = judge(playout(destination()), relay(), has_stat=True)
    assert verdict.ready
    assert verdict.reason == "on air"


def test_a_dead_extra_destination_changes_nothing() -> None:
    extra = destination("tube", None, "waiting")
    assert judge(playout(destination(), extra), relay(), has_stat=True).ready


@pytest.mark.parametrize(
    ("status", "stat", "reason"),
    [
        (None, relay(), "does not answer"),
        ({"ok": False}, relay(), "does not answer"),
        ({"ok": True, "channels": []}, relay(), "no channel"),
        (playout(destination(age_s=None)), relay(), "no picture"),
        (playout(destination(age_s=3.0)), relay(), "no picture"),
        (playout(destination(state="connecting")), relay(), "no picture"),
        (playout(destination(), late_ms=900), relay(), "late"),
        (playout(destination()), None, "relay does not answer"),
        (playout(destination()), relay(publishing=False), "no such stream"),
        (playout(destination()), relay(name="other"), "no such stream"),
    ],
)
def test_whatever_is_missing_is_named(status: Any, stat: RelayStat | None, reason: str) -> None:
    verdict = judge(status, stat, has_stat=True)
    assert not verdict.ready
    assert reason in verdict.reason


def test_without_a_relay_any_destination_will_do() -> None:
    one, other = destination("a", None, "waiting"), destination("b")
    assert judge(playout(one, other), None, has_stat=False).ready
    assert not judge(playout(one), None, has_stat=False).ready


def test_every_channel_must_be_on_air() -> None:
    both = playout(destination())
    both["channels"].append({"name": "second", "destinations": [destination(age_s=None)]})
    verdict = judge(both, relay(), has_stat=True)
    assert not verdict.ready
    assert "second" in verdict.reason
