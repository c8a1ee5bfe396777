"""Speaking texts and decoding sound of taken tasks, beside the studio's loop.

Few threads that live as long as the studio (a child dies with the thread that started it, and a
voice is worth keeping); results come back through a queue and a wake-up socket.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from broadcaster.errors import SourceError, StoreFull
from broadcaster.speech.decode import decode_upload
from broadcaster.speech.decoder import DecodeSettings
from broadcaster.speech.lips import write_mouths
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import Speaker

AT_ONCE = 2
"""Preparations at the same time: ten channels must not crowd out the playout."""

NICE = 10
"""Preparing gives way to the playout, as its children do."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The outcome for one task: ``samples`` > 0, or an error; ``full`` when the disk was."""

    channel: str
    task_id: str
    samples: int = 0
    gain_db: float = 0.0
    error: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to prepare.

    Attributes:
        channel: the task's.
        task_id: the task.
        upload: what the client sent; not read for a text.
        files: what is made of it.
        phonemes: where the phoneme times of a text go.
        sample_rate: of the channel, in Hz.
        text: to be spoken; empty where sound was uploaded.
        voice: who speaks it.
        samples: > 0 when the store knows the sound to be prepared already.
        gain_db: from an earlier preparation; None when there was none.
        mouths: where the mouth of a spoken text goes; None where nobody draws it.
        fps: pictures per second of that.
    """

    channel: str
    task_id: str
    upload: Path
    files: SoundFiles
    phonemes: Path
    sample_rate: int
    text: str = ""
    voice: str = ""
    samples: int = 0
    gain_db: float | None = None
    mouths: Path | None = None
    fps: int = 25


class Preparer:
    """Takes preparations and hands out what they became."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._wanted: queue.SimpleQueue[Preparation] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Prepared] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        for number in range(AT_ONCE):
            # Daemons, so that an ending studio waits for none (children die with it).
            threading.Thread(target=self._run, daemon=True, name=f"prepare-{number}").start()

    def fileno(self) -> int:
        """For a selector: readable when something is ready."""
        return self._wake_read.fileno()

    def start(self, work: Preparation) -> None:
        """Begin as soon as a thread is free."""
        self._wanted.put(work)

    def take(self) -> list[Prepared]:
        """What became ready."""
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(4096)
        ready: list[Prepared] = []
        with contextlib.suppress(queue.Empty):
            while True:
                ready.append(self._ready.get_nowait())
        return ready

    def close(self) -> None:
        """Close the wake-up sockets."""
        self._wake_read.close()
        self._wake_write.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        speaker = Speaker()
        while True:
            work = self._wanted.get()
            try:
                prepared = prepare(work, self._settings, speaker)
            except Exception as error:
                log.exception("preparing task %s failed", work.task_id)
                prepared = Prepared(work.channel, work.task_id, error=f"not prepared: {error!r}")
            self._ready.put(prepared)
            with contextlib.suppress(OSError):
                self._wake_write.send(b"!")


def prepare(work: Preparation, settings: DecodeSettings, speaker: Speaker) -> Prepared:
    """Speak and decode, unless the sound of an earlier life of the studio is there and whole."""
    channel, task_id = work.channel, work.task_id
    if work.samples and work.files.holds(work.samples, work.sample_rate):
        return Prepared(channel, task_id, work.samples, work.gain_db or 0.0)
    spoken = work.files.sound.with_name("spoken.wav")
    try:
        if work.text:
            speaker.speak(work.text, work.voice, spoken, work.phonemes)
        source = spoken if work.text else work.upload
        made = decode_upload(source, work.files, work.sample_rate, settings, work.gain_db)
        if work.text and work.mouths is not None:
            write_mouths(work.phonemes, work.files.sound_16k, work.fps, work.mouths)
    except SourceError as error:
        return Prepared(channel, task_id, error=str(error))
    except (StoreFull, OSError) as error:
        return Prepared(channel, task_id, error=str(error), full=True)
    finally:
        with contextlib.suppress(OSError):
            spoken.unlink(missing_ok=True)
    return Prepared(channel, task_id, made.samples, made.gain_db)
