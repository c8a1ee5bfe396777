"""One life of a push process: from its pipe to its last breath.

The pacing thread calls ``offer``, which writes into the pipe without blocking; the destination's
own thread starts the process, reads its progress and stderr, and ends it. Nothing here decides
to retry, and no two sessions ever share a pipe: a dead process may leave half a tag behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from broadcaster.formats import AirTick, AudioPacket, EncodeFormat, StreamHeaders
from broadcaster.processes import kill_group, start_child
from broadcaster.push import flv
from broadcaster.push.backlog import Backlog, Entry
from broadcaster.push.command import push_command
from broadcaster.push.progress import Progress, ProgressReader, StallWatch
from broadcaster.push.refusal import StderrTail
from broadcaster.push.timeline import SessionTimeline

_PIPE_S = 0.4
"""Media that the pipe may hold: an IDR in one piece, but little that cannot be dropped any more."""

_LAST_WORDS_READS = 16  # of stderr after the end; bounded in case something still floods it

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What every session of a destination has in common."""

    program: str
    url: str
    fmt: EncodeFormat
    headers: StreamHeaders
    send_buffer_bytes: int
    queue_ticks: int
    connect_s: float
    stall_s: float
    redact: Callable[[str], str]


class Moved(Enum):
    """What a look at the progress pipe showed."""

    NOTHING = "nothing"
    BYTES = "bytes"
    IDR = "idr"


class PushSession:
    """One push process and what it was given.

    Args:
        plan: what all sessions share.
        first_timestamp_ms: where the timeline starts; other than 0 only in drills.

    Raises:
        OSError: the process or its pipes could not be made; nothing is left open.
    """

    def __init__(self, plan: SessionPlan, first_timestamp_ms: int) -> None:
        self._plan = plan
        self._first_timestamp_ms = first_timestamp_ms
        self._lock = threading.Lock()  # guards the pipe's end against close while writing
        self._timeline: SessionTimeline | None = None
        self._backlog = Backlog(plan.queue_ticks, self._began)
        self._watch = StallWatch(plan.connect_s, plan.stall_s, 1 / plan.fmt.video.fps)
        self._reader = ProgressReader()
        self._pictures = 0
        self._idrs: deque[int] = deque()
        self._skipping = False
        self._next_tick = 0
        self.dropped_ticks = 0
        self.stderr = StderrTail(plan.redact)
        self.pipe_broken = False
        self.exited = False
        self._start()

    def _start(self) -> None:
        with contextlib.ExitStack() as undo:
            ends = []
            for _ in range(3):
                pair = os.pipe()
                ends.append(pair)
                for end in pair:
                    undo.callback(os.close, end)
            (stdin, self._pipe), (self.progress_fd, progress), (self.stderr_fd, stderr) = ends
            for ours in (self._pipe, self.progress_fd, self.stderr_fd):
                os.set_blocking(ours, False)
            with contextlib.suppress(OSError):  # the user's pipe budget is spent: 64 KiB will do
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _pipe_bytes(self._plan.fmt))
            plan = self._plan
            argv = push_command(plan.program, plan.url, progress, plan.send_buffer_bytes)
            self._process = start_child(
                argv, stdin=stdin, stdout=subprocess.DEVNULL, stderr=stderr, pass_fds=(progress,)
            )
            try:
                self.pidfd = os.pidfd_open(self._process.pid)
            except OSError:
                kill_group(self._process.pid)
                self._process.wait()
                raise
            undo.pop_all()
        for theirs in (stdin, progress, stderr):
            os.close(theirs)
        self._pipe_open = True

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._process.pid

    @property
    def connected(self) -> bool:
        """True once the process has moved bytes: the publish was accepted."""
        return self._watch.connected

    @property
    def silent_s(self) -> float:
        """Seconds of ticks offered since the process last moved bytes."""
        return self._watch.silent_s

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the pipe has not taken yet."""
        return self._backlog.waiting_bytes

    def age_s(self) -> float:
        """Seconds on the session's own timeline; 0 before the first picture."""
        return self._timeline.age_s() if self._timeline else 0.0

    # the pacing thread

    def offer(self, tick: AirTick, recent_sound: Iterable[AudioPacket], now: float) -> bool:
        """Take one tick at ``now`` (monotonic seconds); True when the process counts as stuck.

        ``recent_sound`` are the last packets of the channel, this tick's included. A jump in tick
        numbers is treated like dropped ticks: closed up at the next IDR.
        """
        timeline = self._timeline
        if timeline is None:
            if not tick.video.is_idr:
                return False
            first_ms = self._first_timestamp_ms
            timeline = self._timeline = SessionTimeline(self._plan.fmt, tick.tick, first_ms)
            lead = flv.opening(self._plan.fmt, self._plan.headers)
            self._backlog.add(self._entry(timeline, tick, recent_sound, lead))
        elif not self._skipping and tick.tick == self._next_tick:
            self._backlog.add(self._entry(timeline, tick, tick.audio))
        elif tick.video.is_idr and not self._backlog.waiting_bytes:
            self._resume(timeline, tick, recent_sound)
        else:
            self._skipping = True
            self.dropped_ticks += 1
        self._next_tick = tick.tick + 1
        if self._backlog.is_full():
            self.dropped_ticks += self._backlog.drop_waiting()
            self._skipping = True
        self._flush()
        return self._watch.offered(now)

    def _resume(
        self, timeline: SessionTimeline, tick: AirTick, recent_sound: Iterable[AudioPacket]
    ) -> None:
        last = self._backlog.last_kept
        if last is not None:
            timeline.resume_at(tick.tick, last.tick, last.mark)
        self._skipping = False
        self._backlog.add(self._entry(timeline, tick, recent_sound))

    @staticmethod
    def _entry(
        timeline: SessionTimeline, tick: AirTick, sound: Iterable[AudioPacket], lead: bytes = b""
    ) -> Entry:
        number, payload, is_idr = tick.tick, tick.video.payload, tick.video.is_idr
        pieces = [lead, *flv.video_tag(timeline.video_ms(number), payload, is_idr)]
        for packet in sound:
            timestamp_ms = timeline.audio_ms(packet.slot)
            if timestamp_ms is not None:
                pieces += flv.audio_tag(timestamp_ms, packet.payload)
        return Entry(number, is_idr, timeline.mark(), b"".join(pieces))

    def _began(self, entry: Entry) -> None:
        self._pictures += 1
        if entry.is_idr:
            self._idrs.append(self._pictures)

    def _flush(self) -> None:
        with self._lock:
            if self._pipe_open and not self.pipe_broken:
                self._backlog.flush(self._write)

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._pipe, data)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            self.pipe_broken = True
            return 0

    def close_pipe(self) -> None:
        """End of input: the process writes out what it has, unpublishes and exits."""
        with self._lock:
            if self._pipe_open:
                self._pipe_open = False
                os.close(self._pipe)

    # the destination's thread

    def read_progress(self) -> Moved | None:
        """Read the progress pipe; None when it has ended."""
        data = _read(self.progress_fd)
        if data == b"":
            return None
        report = self._reader.feed(data) if data else None
        if report is None or not self._watch.moved(report):
            return Moved.NOTHING
        return Moved.IDR if self._delivered(report) else Moved.BYTES

    def _delivered(self, report: Progress) -> bool:
        delivered = False
        while self._idrs and report.frames > self._idrs[0]:
            self._idrs.popleft()
            delivered = True
        return delivered

    def read_stderr(self) -> bool:
        """Read what the process complains about; False at its end."""
        data = _read(self.stderr_fd)
        if data:
            self.stderr.feed(data)
        return data != b""

    def signal(self, sig: signal.Signals) -> None:
        """Signal the whole group; SIGKILL works on a stopped process too."""
        if self._process.returncode is None:
            kill_group(self._process.pid, sig)

    def reap(self) -> None:
        """Called when the process has ended: collects its exit status."""
        self.exited = self._process.poll() is not None

    def exit_text(self) -> str:
        """How the process ended, for people."""
        code = self._process.returncode
        if code is None:
            return "still running"
        return f"killed by signal {-code}" if code < 0 else f"exit status {code}"

    def close(self) -> None:
        """Kill what still runs, reap it, and close every descriptor."""
        self.close_pipe()
        self.signal(signal.SIGKILL)
        self._process.wait()
        for _ in range(_LAST_WORDS_READS):
            if not (data := _read(self.stderr_fd)):
                break
            self.stderr.feed(data)
        for fd in (self.progress_fd, self.stderr_fd, self.pidfd):
            os.close(fd)


def _pipe_bytes(fmt: EncodeFormat) -> int:
    """A pipe's size is a power of two of pages; the default 64 KiB is the least."""
    wanted = int((fmt.bitrate_bps + fmt.audio.bitrate_bps) / 8 * _PIPE_S)
    return max(65536, 1 << (wanted - 1).bit_length())


def _read(fd: int) -> bytes | None:
    """What a non-blocking pipe holds; None when empty, ``b""`` at its end."""
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None
