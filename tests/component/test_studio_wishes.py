"""The real studio with texts to speak, tasks that interrupt, and one gain per task."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from broadcaster.store import Task, TaskState
from broadcaster.studio.doorbell import ring
from tests.component.test_studio import RATE, Station, until
from tests.doubles.fake_playout import FakePlayout


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    made = Station(tmp_path / "var")
    yield made
    made.close()


@pytest.fixture
def playout(station: Station) -> Iterator[FakePlayout]:
    with FakePlayout(station.paths.playout_socket, speed=0) as made:
        yield made


def post_text(station: Station, text: str, voice: str = "espeak") -> str:
    incoming = station.store.spool.begin()
    incoming.file.write(text.encode())
    task = Task(incoming.task_id, "main", "", RATE, text=text, voice=voice)
    station.store.accept(task, incoming)
    incoming.discard()
    ring(station.paths.doorbell)
    return task.id


def post_now(station: Station, seconds: float) -> str:
    """A task that interrupts."""
    incoming = station.store.spool.begin()
    with wave.open(incoming.file, "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(
            (np.sin(np.arange(int(seconds * RATE)) / 20) * 9000).astype("<i2").tobytes()
        )
    task = Task(incoming.task_id, "main", "now.wav", RATE, interrupts=True)
    station.store.accept(task, incoming)
    incoming.discard()
    ring(station.paths.doorbell)
    return task.id


# --- texts ------------------------------------------------------------------------------------


def test_a_text_is_spoken_with_its_phonemes_beside_the_sound(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    task_id = post_text(station, "Good evening. Welcome to our show!")
    station.reaches(task_id, TaskState.ON_AIR, 30)
    task, spool = station.store.get(task_id), station.store.spool
    sound = np.fromfile(spool.sound(task_id), "<i2").reshape(-1, 2)
    assert len(sound) == task.samples
    assert 1.5 < task.samples / RATE < 6
    assert np.abs(sound).max() > 3000
    assert np.array_equal(sound[:, 0], sound[:, 1])
    told = json.loads(spool.phonemes(task_id).read_text())
    assert told["voice"] == "espeak"
    starts = [start for _, start, _ in told["phonemes"]]
    assert starts == sorted(starts)
    assert len([name for name, _, _ in told["phonemes"] if name]) > 15
    assert told["phonemes"][-1][2] == pytest.approx(task.samples / RATE, abs=0.05)
    assert spool.sound_16k(task_id).stat().st_size == pytest.approx(task.samples / 3 * 4, abs=8)
    playout.advance(60)
    station.reaches(task_id, TaskState.DONE)
    assert playout.heard(task_id) == [(0, task.samples)]


def test_texts_and_sounds_take_turns_with_different_voices(
    station: Station, playout: FakePlayout
) -> None:
    playout.speed = 50
    station.start()
    tasks = [
        post_text(station, "Eins, zwei, drei.", "espeak:de"),
        station.post(0.3),
        post_text(station, "One, two, three.", "espeak:en-us+m3"),
    ]
    for task in tasks:
        station.reaches(task, TaskState.DONE, 30)
    assert [play["task_id"] for play in playout.plays] == tasks


def test_a_text_nobody_can_speak_fails_with_a_sentence(
    station: Station, playout: FakePlayout
) -> None:
    """The door refuses these; the studio must not stumble over one that came another way."""
    station.start()
    unspeakable, voiceless = post_text(station, "?!"), post_text(station, "Hello.", "bob")
    good = station.post(0.2)
    station.reaches(unspeakable, TaskState.FAILED, 30)
    station.reaches(voiceless, TaskState.FAILED, 30)
    station.reaches(good, TaskState.ON_AIR, 30)
    assert "nothing that can be spoken" in station.store.get(unspeakable).error
    assert "bob" in station.store.get(voiceless).error


def test_a_studio_killed_while_speaking_speaks_it_again_once(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    task = post_text(station, "This is a rather long sentence, said slowly. " * 40)
    station.reaches(task, TaskState.PREPARING, 30)
    station.kill()
    station.start()
    station.reaches(task, TaskState.ON_AIR, 60)
    playout.advance(1000)
    station.reaches(task, TaskState.DONE)
    assert playout.heard(task) == [(0, station.store.get(task).samples)]
    until(lambda: not station.store.spool.task_ids(), "the spool is empty")


# --- one gain ---------------------------------------------------------------------------------


def test_a_resumed_task_is_as_loud_as_before(station: Station, playout: FakePlayout) -> None:
    station.start()
    task = station.post(4)
    station.reaches(task, TaskState.ON_AIR)
    sound = station.store.spool.sound(task)
    before, gain_db = sound.read_bytes(), station.store.get(task).gain_db
    assert gain_db
    playout.advance(1.5)
    until(lambda: station.store.get(task).played_samples == RATE, "a second journaled")
    station.kill()
    playout.die()
    sound.unlink()  # as after a restore from a backup: only the upload and the row are left
    playout.start()
    station.start()
    until(lambda: len(playout.plays) == 2, "it is handed over again")
    assert sound.read_bytes() == before
    assert station.store.get(task).gain_db == gain_db
    assert playout.plays[-1]["from_sample"] == RATE


# --- interrupting -----------------------------------------------------------------------------


def test_a_task_that_interrupts_is_said_at_once_and_the_others_keep_their_places(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    on_air, waiting, queued = (station.post(5) for _ in range(3))
    station.reaches(on_air, TaskState.ON_AIR)
    until(lambda: len(playout.held["main"]) == 2, "the second waits in the playout")
    urgent = post_now(station, 1)
    station.reaches(urgent, TaskState.ON_AIR)
    assert station.store.get(on_air).reason == "interrupted"
    playout.speed = 50
    for task in (urgent, waiting, queued):
        station.reaches(task, TaskState.DONE)
        assert playout.heard(task) == [(0, station.store.get(task).samples)], "whole and once"
    begun = [task_id for task_id, begin, _ in playout.said if begin == 0]
    assert list(dict.fromkeys(begun)) == [on_air, urgent, waiting, queued]


def test_what_is_on_air_stops_before_the_urgent_sound_is_decoded(
    station: Station, playout: FakePlayout
) -> None:
    """Users of other systems wait three seconds and more for an interrupt."""
    station.start()
    on_air = station.post(5)
    station.reaches(on_air, TaskState.ON_AIR)
    urgent = post_now(station, 20)
    station.reaches(on_air, TaskState.CANCELLED)
    station.reaches(urgent, TaskState.ON_AIR)
    assert [each["task_id"] for each in playout.interrupts] == [on_air]


def test_an_urgent_task_with_nothing_on_air_interrupts_nothing(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    urgent = post_now(station, 1)
    station.reaches(urgent, TaskState.ON_AIR)
    assert playout.interrupts == []


def test_the_newest_of_several_urgent_tasks_wins_and_none_is_lost(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    on_air = station.post(5)
    station.reaches(on_air, TaskState.ON_AIR)
    urgent = [post_now(station, 0.5) for _ in range(4)]
    station.reaches(urgent[-1], TaskState.ON_AIR)
    playout.speed = 50
    ended = (TaskState.DONE, TaskState.CANCELLED)
    until(lambda: all(station.state(task) in ended for task in urgent), "all have ended")
    assert station.state(urgent[-1]) is TaskState.DONE
    for task in urgent:
        if station.state(task) is TaskState.CANCELLED:
            assert station.store.get(task).reason == "interrupted"


def test_a_studio_that_comes_back_does_not_let_an_older_urgent_task_cut_a_newer_one(
    station: Station, playout: FakePlayout
) -> None:
    station.start()
    older = post_now(station, 3)
    station.reaches(older, TaskState.ON_AIR)
    station.kill()
    station.store.move(older, {TaskState.ON_AIR}, TaskState.QUEUED)
    playout.held["main"].clear()
    newer = post_now(station, 3)
    station.start()
    station.reaches(newer, TaskState.ON_AIR)
    station.kill()
    asked = playout.status_asked
    station.start()
    until(lambda: playout.status_asked > asked, "the new studio has asked the playout")
    station.reaches(newer, TaskState.ON_AIR)
    playout.advance(4)
    station.reaches(newer, TaskState.DONE)
    station.reaches(older, TaskState.ON_AIR)
    assert playout.interrupts == []
