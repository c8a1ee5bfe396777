"""G10 to G13 with the real presenter: whatever ends its worker, its pictures are the same."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from broadcaster.avatars.shelf import find
from broadcaster.settings.model import Channel, Pool, SettingsModel, Video
from broadcaster.studio.stage import Readiness, Stage
from gpu_pool.contracts import EngineSpec, PictureFormat, PictureRef, SlotReport, SlotState
from gpu_pool.ring import RingReader
from tests.doubles import faulty_presenter
from tests.doubles.labelled_speech import FIXTURES
from tests.doubles.pool_stage import QUICK, fault

ANNA = find("anna", Path())
FPS = 25
VIDEO = Video(width=192, height=112, fps=FPS)
FORMAT = PictureFormat(192, 112, FPS)
SPOKEN, TAIL = 60, 10
PICTURES = SPOKEN + TAIL
FIRST, MIDDLE, LAST = 0, 33, PICTURES - 1


class Hall:
    """A stage with faulty presenters, and what a playout would have of it: checksums by index."""

    def __init__(self, folder: Path, faults: Sequence[Mapping[str, Any]]) -> None:
        settings = SettingsModel(channels=(Channel(video=VIDEO),), pool=Pool(devices=("cpu",)))
        spec = EngineSpec(faulty_presenter.NAME, {"faults": [dict(each) for each in faults]})
        self.stage = Stage(settings, self.take, time.monotonic, {"main": ANNA}, spec, QUICK)
        self.sound = folder / "sound.f32"
        speech, rate = soundfile.read(FIXTURES / "slt.opus", dtype="float32")
        np.ascontiguousarray(speech[:: rate // 16_000][: SPOKEN * 640]).tofile(self.sound)
        self.seen: dict[int, int] = {}
        self.lost: set[int] = set()
        self.until(lambda: self.stage.readiness("main") is Readiness.READY)
        self.reader = RingReader(Path(str(self.stage.order("main", 1)["ring"])))

    def until(self, condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"{len(self.seen)} pictures, {self.slot}"
            self.stage.bring_forward()
            time.sleep(0.005)

    @property
    def slot(self) -> SlotReport:
        report = self.stage.report()
        assert report is not None
        return report.slots[0]

    def begin(self) -> None:
        answer = {"tick": 1000, "index": 0, "from_sample": 0, "in_ticks": 5000, "preroll_ticks": 5}
        answer |= {"spoken": SPOKEN, "pictures": PICTURES}
        self.stage.begin("main", "a", answer, self.sound, self.sound.with_name("none"))

    def take(self, message: dict[str, Any]) -> dict[str, Any]:
        first = int(message["first"])
        if message["refs"] is None:
            self.lost |= set(range(first, first + message["count"]))
            return {"ok": True}
        refs = [PictureRef(*pair) for pair in message["refs"]]
        for index, ref in enumerate(refs, first):
            assert index not in self.seen, "a picture came twice"
            picture = self.reader.picture(ref, FORMAT)
            assert picture is not None
            self.seen[index] = zlib.crc32(picture.tobytes())
        return {"ok": True}

    def say(self) -> dict[int, int]:
        """The task to its end."""
        self.begin()
        self.until(lambda: len(self.seen) + len(self.lost) == PICTURES)
        return self.seen


@contextlib.contextmanager
def hall(folder: Path, *faults: Mapping[str, Any]) -> Iterator[Hall]:
    made = Hall(folder, faults)
    try:
        yield made
    finally:
        made.stage.close()


@pytest.fixture(scope="module")
def flawless(tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """The pictures of a task during which nothing happens."""
    with hall(tmp_path_factory.mktemp("flawless")) as made:
        return made.say()


def test_a_task_moves(flawless: dict[int, int]) -> None:
    assert sorted(flawless) == list(range(PICTURES))
    assert len(set(flawless.values())) == PICTURES, "else nothing below could tell pictures apart"


@pytest.mark.parametrize(
    ("kind", "picture"),
    [("kill", FIRST), ("kill", MIDDLE), ("kill", LAST), ("crash", MIDDLE), ("exit", FIRST),
     ("exit", LAST), ("raise", MIDDLE)],
)  # fmt: skip
def test_a_presenter_that_ends_is_not_noticed_in_the_pictures(
    tmp_path: Path, flawless: dict[int, int], kind: str, picture: int
) -> None:
    with hall(tmp_path, fault(tmp_path, kind, picture)) as made:
        assert made.say() == flawless
        assert sum(made.slot.deaths.values()) == 1


def test_a_presenter_that_ends_behind_its_last_picture_is_not_noticed(
    tmp_path: Path, flawless: dict[int, int]
) -> None:
    with hall(tmp_path, fault(tmp_path, "kill", LAST, after=True)) as made:
        assert made.say() == flawless
        assert made.slot.deaths == {"signal": 1}


@pytest.mark.parametrize(
    ("kind", "picture"),
    [("hang_with_lock", FIRST), ("hang_with_lock", MIDDLE), ("hang_with_lock", LAST),
     ("stop", FIRST), ("stop", MIDDLE), ("stop", LAST)],
)  # fmt: skip
def test_a_presenter_that_hangs_is_replaced_and_not_noticed_in_the_pictures(
    tmp_path: Path, flawless: dict[int, int], kind: str, picture: int
) -> None:
    with hall(tmp_path, fault(tmp_path, kind, picture)) as made:
        assert made.say() == flawless
        assert made.slot.deaths == {"hung": 1}


def test_a_presenter_stopped_from_outside_is_replaced(
    tmp_path: Path, flawless: dict[int, int]
) -> None:
    with hall(tmp_path) as made:
        pid = made.slot.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        assert made.say() == flawless
        assert made.slot.deaths == {"hung": 1}
        assert made.slot.pid != pid


def test_a_presenter_in_a_crash_loop_is_parked_sound_goes_on_over_idle_and_it_comes_back(
    tmp_path: Path, flawless: dict[int, int]
) -> None:
    loads = {**fault(tmp_path, "raise", -1), "times": QUICK.deaths_at_most}
    spent = [tmp_path / f"raise--1-None-{n}" for n in range(QUICK.deaths_at_most)]
    for mark in spent:
        mark.touch()  # the first one loads
    with hall(tmp_path, loads, fault(tmp_path, "kill", MIDDLE)) as made:
        for mark in spent:
            mark.unlink()
        made.begin()
        made.until(lambda: made.slot.state is SlotState.PARKED)
        assert "a scripted failure of the device" in made.slot.last_error
        made.until(lambda: made.stage.readiness("main") is Readiness.NEVER)
        made.until(lambda: made.lost)
        made.until(lambda: len(made.seen) + len(made.lost) == PICTURES)
        assert made.seen == {n: flawless[n] for n in range(30)}, "what was drawn before it died"
        made.stage.end("a")
        made.seen.clear()
        made.lost.clear()
        made.until(lambda: made.stage.readiness("main") is Readiness.READY)
        assert made.say() == flawless
        assert not made.lost
