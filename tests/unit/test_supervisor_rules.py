"""The supervisor's pure rules: pauses between restarts, verdicts, readiness, the summary."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.settings.model import Channel, SettingsModel
from broadcaster.supervisor.liveness import Liveness
from broadcaster.supervisor.parent import is_ending
from broadcaster.supervisor.readiness import is_on_air
from broadcaster.supervisor.restart import RestartSchedule
from broadcaster.supervisor.summary import summary

SCHEDULE = RestartSchedule(min_s=0.2, max_s=30.0)


def pauses(*runs_s: float) -> list[float]:
    """The pause after each of these runs."""
    failures, found = 0, []
    for ran_s in runs_s:
        failures = SCHEDULE.failures_after(failures, ran_s)
        found.append(SCHEDULE.delay_s(failures))
    return found


def test_the_first_restart_is_at_once_and_the_next_ones_double() -> None:
    assert pauses(*[0.1] * 6) == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2]


def test_a_minute_of_health_clears_the_record() -> None:
    assert pauses(0.1, 0.1, 0.1, 60.0, 0.1) == [0.0, 0.2, 0.4, 0.0, 0.2]


def test_a_role_that_works_and_is_killed_again_and_again_is_always_back_at_once() -> None:
    assert pauses(*[8.0] * 20) == [0.0] * 20


@given(st.lists(st.floats(0, 200), max_size=200))
def test_no_pause_is_ever_longer_than_the_longest(runs_s: list[float]) -> None:
    assert all(0 <= pause <= 30.0 for pause in pauses(*runs_s))


def test_starting_may_take_longer_than_living() -> None:
    life = Liveness(limit_s=8.0, first_limit_s=30.0)
    life.begin(100.0)
    assert not life.is_hung(129.9)
    assert life.is_hung(130.0)
    life.prove(110.0)
    assert not life.is_hung(117.9)
    assert life.is_hung(118.0)


def test_old_proof_does_not_undo_new_proof_and_a_new_process_starts_afresh() -> None:
    life = Liveness(limit_s=3.0, first_limit_s=5.0)
    life.begin(0.0)
    life.prove(10.0)
    life.prove(8.0)
    assert life.silence_s(12.0) == 2.0
    life.begin(20.0)
    assert not life.proven
    assert not life.is_hung(24.9)


def test_time_that_the_judge_slept_is_not_held_against_the_role() -> None:
    life = Liveness(limit_s=3.0, first_limit_s=5.0)
    life.begin(0.0)
    life.prove(1.0)
    life.excuse(10.0)
    assert not life.is_hung(13.9)
    assert life.is_hung(14.0)


def channel(*destinations: tuple[str, float | None]) -> dict[str, object]:
    """A channel as the playout reports it: (destination, age of its last IDR)."""
    return {"destinations": [{"name": n, "last_idr_age_s": age} for n, age in destinations]}


@pytest.mark.parametrize(
    ("channels", "on_air"),
    [
        ([], False),
        ([channel(("relay", 0.4))], True),
        ([channel(("relay", 3.1))], False),
        ([channel(("relay", None))], False),
        ([channel(("relay", 0.4), ("extra", None))], True),
        ([channel(("relay", None), ("extra", 0.4))], False),
        ([channel(("one", None), ("two", 0.4))], True),
        ([channel(("relay", 0.4)), channel(("relay", None))], False),
        ([channel()], False),
    ],
)
def test_on_air_means_that_every_channel_reaches_its_relay_or_else_any_destination(
    channels: list[dict[str, object]], on_air: bool
) -> None:
    assert is_on_air({"ok": True, "channels": channels}) is on_air


def test_an_answer_without_channels_is_not_on_air() -> None:
    assert not is_on_air({})
    assert not is_on_air({"ok": False, "error": "starting"})


def test_the_summary_names_every_address() -> None:
    settings = SettingsModel(channels=(Channel(name="main"), Channel(name="two")))
    text = summary(settings, 3.21)
    for part in (
        "main, two",
        "3.2 s",
        "http://127.0.0.1:11001/",
        "rtmp://127.0.0.1:1935/live/main",
        "rtmp://127.0.0.1:1935/live/two",
        "audio_file=@",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("blocked", "ignored", "caught", "ending"),
    [
        (0x0, 0x0, 0x4003, False),  # make, waiting for its recipe
        (0x2, 0x0, 0x4001, True),  # in its handler of SIGINT
        (0x4000, 0x0, 0x3, True),  # in its handler of SIGTERM
        (0x4003, 0x0, 0x4003, False),  # between fork and exec, all signals held back
        (0x2, 0x2, 0x4001, False),  # started with SIGINT ignored
        (0x10000, 0x0, 0x4003, False),  # SIGCHLD only
    ],
)
def test_a_parent_in_its_last_signal_handler_is_recognised(
    blocked: int, ignored: int, caught: int, ending: bool
) -> None:
    status = f"Name:\tmake\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
    assert is_ending(f"{status}SigCgt:\t{caught:016x}\n") is ending
    assert not is_ending("")
