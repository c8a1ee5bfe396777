"""Decoding the sound of taken tasks, beside the studio's loop.

One thread per task in preparation (one per channel at most); results come back through a queue
and a wake-up socket.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import socket
import threading
from dataclasses import dataclass
from pathlib import Path

from broadcaster.errors import SourceError, StoreFull
from broadcaster.speech.decode import SAMPLE_BYTES, DecodeSettings, decode_upload

AT_ONCE = 2
"""Decoding children at the same time: ten channels must not crowd out the playout."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The outcome for one task: ``samples`` > 0, or an error; ``full`` when the disk was."""

    channel: str
    task_id: str
    samples: int = 0
    error: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to decode; ``samples`` > 0 when the store knows the sound to be decoded already."""

    channel: str
    task_id: str
    upload: Path
    sound: Path
    sample_rate: int
    samples: int


class Preparer:
    """Starts preparations and hands out what they became."""

    def __init__(self, settings: DecodeSettings) -> None:
        self._settings = settings
        self._ready: queue.SimpleQueue[Prepared] = queue.SimpleQueue()
        self._slots = threading.Semaphore(AT_ONCE)
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)

    def fileno(self) -> int:
        """For a selector: readable when something is ready."""
        return self._wake_read.fileno()

    def start(self, work: Preparation) -> None:
        """Begin; daemon threads, so that an ending studio waits for none (children die with it)."""
        threading.Thread(target=self._run, args=(work,), daemon=True, name="prepare").start()

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

    def _run(self, work: Preparation) -> None:
        with self._slots:
            try:
                prepared = prepare(work, self._settings)
            except (ValueError, RuntimeError) as error:
                log.exception("preparing task %s failed", work.task_id)
                prepared = Prepared(work.channel, work.task_id, error=f"not prepared: {error!r}")
            self._ready.put(prepared)
        with contextlib.suppress(OSError):
            self._wake_write.send(b"!")


def prepare(work: Preparation, settings: DecodeSettings) -> Prepared:
    """Decode, unless the sound of an earlier life of the studio is there and whole."""
    try:
        if work.samples and work.sound.stat().st_size == work.samples * SAMPLE_BYTES:
            return Prepared(work.channel, work.task_id, work.samples)
    except FileNotFoundError:
        pass
    try:
        samples = decode_upload(work.upload, work.sound, work.sample_rate, settings)
    except SourceError as error:
        return Prepared(work.channel, work.task_id, error=str(error))
    except (StoreFull, OSError) as error:
        return Prepared(work.channel, work.task_id, error=str(error), full=True)
    return Prepared(work.channel, work.task_id, samples)
