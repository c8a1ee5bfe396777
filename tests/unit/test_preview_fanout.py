"""Who gets which packet, and with what a newcomer begins."""

from __future__ import annotations

from itertools import pairwise

import pytest

from broadcaster.preview.fanout import (
    BEHIND_PICTURES,
    HELD_S,
    KEPT_BYTES,
    Catching,
    Fanout,
    Viewer,
)
from broadcaster.preview.packets import SOUND_RATE, VIDEO_RATE, CodedPicture, CodedSound

GOP = 25
STEP = VIDEO_RATE // 25


def picture(index: int, size: int = 10) -> CodedPicture:
    return CodedPicture(index * STEP, index.to_bytes(4, "big") * (size // 4 or 1), index % GOP == 0)


def sound(at_s: float) -> CodedSound:
    return CodedSound(round(at_s * SOUND_RATE), b"o")


class Watching(Viewer):
    """A viewer that counts how often it was woken."""

    def __init__(self) -> None:
        self.woken: list[str] = []
        super().__init__(lambda: self.woken.append("p"), lambda: self.woken.append("s"))

    def shown(self) -> list[CodedPicture]:
        """What would be sent next, in order."""
        found = [p.picture if isinstance(p, Catching) else p for p in self.pictures]
        self.pictures.clear()
        return found


@pytest.fixture
def fanout() -> Fanout:
    return Fanout()


def test_a_newcomer_begins_with_the_last_idr_at_once(fanout: Fanout) -> None:
    for index in range(GOP + 7):
        fanout.show(picture(index))
    viewer = Watching()
    fanout.join(viewer)
    shown = viewer.shown()
    assert [p.payload for p in shown] == [picture(i).payload for i in range(GOP, GOP + 7)]
    assert shown[0].is_idr


def test_the_first_burst_keeps_its_times_and_is_marked_to_be_paced(fanout: Fanout) -> None:
    for index in range(20):
        fanout.show(picture(index))
    viewer = Watching()
    fanout.join(viewer)
    fanout.show(picture(20))
    assert [isinstance(p, Catching) for p in viewer.pictures] == [True] * 20 + [False]
    assert [b.pts - a.pts for a, b in pairwise(viewer.shown())] == [STEP] * 20


def test_without_an_idr_a_newcomer_waits_for_one(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    for index in range(20, GOP + 2):
        fanout.show(picture(index))
    assert [p.pts // STEP for p in viewer.shown()] == [GOP, GOP + 1]
    assert viewer.dropped == 5


def test_a_slow_viewer_goes_on_at_the_next_idr_and_holds_up_nobody(fanout: Fanout) -> None:
    slow, quick = Watching(), Watching()
    fanout.join(slow)
    fanout.join(quick)
    seen = []
    for index in range(BEHIND_PICTURES + 2 * GOP):
        fanout.show(picture(index))
        seen += quick.shown()
    assert len(seen) == BEHIND_PICTURES + 2 * GOP
    assert slow.dropped >= BEHIND_PICTURES
    left = slow.shown()
    assert left[0].is_idr
    assert [p.pts for p in left] == [p.pts for p in seen[-len(left) :]]


def test_after_a_break_everybody_waits_for_an_idr(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    fanout.show(picture(0))
    viewer.shown()
    fanout.reset()
    assert not fanout.has_picture
    fanout.show(picture(1))
    fanout.show(picture(GOP))
    assert [p.is_idr for p in viewer.shown()] == [True]


def test_a_key_interval_that_is_too_large_is_not_kept(fanout: Fanout) -> None:
    fanout.show(picture(0, KEPT_BYTES // 2))
    fanout.show(picture(1, KEPT_BYTES // 2 + 1000))
    assert not fanout.has_picture
    fanout.show(picture(2))
    assert not fanout.has_picture
    fanout.show(picture(GOP))
    assert fanout.has_picture


def test_sound_that_is_sent_ahead_waits_for_its_picture(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    fanout.sound(sound(0.06))
    assert not viewer.sounds
    fanout.show(picture(0))
    fanout.show(picture(1))
    assert not viewer.sounds
    fanout.show(picture(2))
    assert [s.pts for s in viewer.sounds] == [sound(0.06).pts]
    assert viewer.woken == ["p", "p", "p", "s"]


def test_sound_goes_on_where_pictures_stop(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    fanout.show(picture(0))
    for index in range(100):
        fanout.sound(sound(1 + index * 0.02))
    assert [s.pts for s in viewer.sounds][-1] >= sound(3 - HELD_S - 0.04).pts


def test_who_has_left_gets_nothing_more(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    fanout.leave(viewer)
    fanout.show(picture(0))
    assert not viewer.pictures
    assert fanout.viewers == set()


def test_sound_nobody_takes_does_not_pile_up(fanout: Fanout) -> None:
    viewer = Watching()
    fanout.join(viewer)
    for index in range(1000):
        fanout.sound(sound(index * 0.02))
    assert len(viewer.sounds) <= 2 * BEHIND_PICTURES
