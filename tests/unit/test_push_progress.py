from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broadcaster.push.progress import Progress, ProgressReader, StallWatch

REPORT = (
    b"frame=%d\nfps=25.00\nstream_0_0_q=-1.0\nbitrate= 145.4kbits/s\ntotal_size=%s\n"
    b"out_time_us=1278000\nout_time=00:00:01.278000\nspeed=1x\nprogress=continue\n"
)


def test_a_report_gives_pictures_and_bytes() -> None:
    assert ProgressReader().feed(REPORT % (30, b"23224")) == Progress(30, 23224)


def test_a_report_without_figures_counts_as_nothing_written() -> None:
    assert ProgressReader().feed(REPORT % (0, b"N/A")) == Progress(0, 0)


@given(st.integers(1, 400))
def test_reports_survive_being_cut_anywhere(size: int) -> None:
    data = b"".join(REPORT % (n, b"%d" % (n * 100)) for n in range(1, 6))
    reader, seen = ProgressReader(), []
    for at in range(0, len(data), size):
        report = reader.feed(data[at : at + size])
        if report is not None:
            seen.append(report)
    assert seen[-1] == Progress(5, 500)
    assert [r.frames for r in seen] == sorted(r.frames for r in seen)


def test_endless_rubbish_is_not_kept() -> None:
    reader = ProgressReader()
    for _ in range(100):
        assert reader.feed(b"x" * 10_000) is None
    assert reader.feed(b"\n" + REPORT % (7, b"70")) == Progress(7, 70)


def watch() -> StallWatch:
    return StallWatch(connect_s=2.0, stall_s=1.2, tick_s=0.04)


def offer(watch: StallWatch, ticks: int, since: float, pace_s: float = 0.04) -> list[bool]:
    return [watch.offered(since + n * pace_s) for n in range(ticks)]


def test_a_process_is_stuck_when_ticks_pass_and_no_byte_moves() -> None:
    connected = watch()
    assert connected.moved(Progress(1, 100))
    verdicts = offer(connected, 33, 100.0)
    assert not any(verdicts[:30])
    assert verdicts[32]


def test_reports_that_repeat_the_same_bytes_are_no_sign_of_life() -> None:
    connected = watch()
    connected.moved(Progress(1, 100))
    for n in range(33):
        verdict = connected.offered(n * 0.04)
        assert not connected.moved(Progress(40, 100))
    assert verdict


def test_a_playout_that_was_frozen_and_catches_up_accuses_nobody() -> None:
    connected = watch()
    connected.moved(Progress(1, 100))
    connected.offered(0.0)
    assert not any(offer(connected, 100, 10.0, pace_s=0.0005))
    assert connected.silent_s < 0.1


def test_connecting_has_its_own_patience() -> None:
    verdicts = offer(watch(), 53, 0.0)
    assert not any(verdicts[:50])
    assert verdicts[52]
