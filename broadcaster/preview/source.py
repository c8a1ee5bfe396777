"""Pulls one channel from the relay in a thread: H.264 with start codes, sound as Opus.

Runs only while somebody watches. It gives packets away and never waits for whoever takes them.
"""

from __future__ import annotations

import enum
import logging
import threading
from collections.abc import Callable
from typing import cast

import av

from broadcaster.clock import Clock
from broadcaster.condition import Condition
from broadcaster.errors import SourceError
from broadcaster.preview.packets import SOUND_RATE, VIDEO_RATE, CodedPicture, CodedSound
from broadcaster.preview.sound import OpusLine
from broadcaster.preview.timeline import Timeline

log = logging.getLogger(__name__)

RETRY_S = 0.3
"""Between two tries: the relay refuses a stream that is not there within a millisecond."""

OPEN_S = 3.0
READ_S = 2.0
"""A relay on this machine that is silent for so long hangs, or its publisher does."""

OPTIONS = {"fpsprobesize": "0"}
"""FFmpeg's demuxer else watches a second of pictures to guess their rate: 2.0 s to open instead of
0.1 to 1.0 (until the next IDR). A shorter analysis is no choice: it finds sound only when the
relay makes it wait for the key picture."""

TO_START_CODES = "h264_mp4toannexb"
"""FLV has lengths before NAL units, RTP packetisers look for start codes: without this filter
nothing is sent and no error tells it. It also puts SPS and PPS before each IDR."""


class SourceState(enum.StrEnum):
    """What ``/status`` shows."""

    CLOSED = "closed"
    OPENING = "opening"
    LIVE = "live"
    WAITING = "waiting"


Deliver = Callable[[CodedPicture | CodedSound | None], None]
"""Takes packets in the source's thread; None means that the stream broke off."""


class ChannelSource:
    """One channel's stream, opened again and again until ``stop``.

    Args:
        name: the channel.
        url: where the relay gives it.
        deliver: see ``Deliver``.
        clock: monotonic time.
    """

    def __init__(self, name: str, url: str, deliver: Deliver, clock: Clock) -> None:
        self.condition = Condition(f"preview/{name}", SourceState.CLOSED, "", clock.now())
        self._name, self._url, self._deliver, self._clock = name, url, deliver, clock
        self._timeline = Timeline()
        self._stopping: threading.Event | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._stopping is not None

    def start(self) -> None:
        """Begin to pull; nothing when it already does."""
        if self._stopping is None:
            self._stopping = threading.Event()
            self._enter(SourceState.OPENING)
            threading.Thread(
                target=self._run, args=(self._stopping,), name=f"source {self._name}", daemon=True
            ).start()

    def stop(self) -> None:
        """End soon: after the packet under way, or when its wait is over."""
        if self._stopping is not None:
            self._stopping.set()
            self._stopping = None
            self._enter(SourceState.CLOSED, "")

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            reason = self._run_once(stopping)
            if stopping.is_set():
                return
            self._enter(SourceState.WAITING, reason)
            stopping.wait(RETRY_S)

    def _run_once(self, stopping: threading.Event) -> str:
        """Pull until the stream breaks off; returns why it did."""
        try:
            self._pull(stopping)
        except (av.FFmpegError, OSError, ValueError, SourceError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        else:
            reason = "the relay ended the stream"
        if not stopping.is_set():
            self._deliver(None)
        return reason

    def _pull(self, stopping: threading.Event) -> None:
        with av.open(self._url, options=OPTIONS, timeout=(OPEN_S, READ_S)) as container:
            if not container.streams.video:
                raise SourceError("the stream has no picture")
            video = container.streams.video[0]
            if video.codec_context.name != "h264":
                raise SourceError(f"the picture is {video.codec_context.name}, not H.264")
            start_codes = av.BitStreamFilterContext(TO_START_CODES, video)
            opus = OpusLine()
            self._timeline.restart()
            for packet in container.demux():
                if stopping.is_set():
                    return
                if packet.dts is None:
                    continue
                if packet.stream.type == "video":
                    for each in start_codes.filter(packet):
                        self._picture(cast("av.Packet[av.VideoStream]", each), stopping)
                elif packet.stream.type == "audio":
                    self._sound(opus, cast("av.Packet[av.AudioStream]", packet))

    def _picture(self, packet: av.Packet[av.VideoStream], stopping: threading.Event) -> None:
        if self.condition.state != SourceState.LIVE and not stopping.is_set():
            self._enter(SourceState.LIVE, "")
        assert packet.pts is not None
        assert packet.time_base is not None
        at = self._timeline.place(
            "picture", float(packet.pts * packet.time_base), self._clock.now()
        )
        self._deliver(CodedPicture(round(at * VIDEO_RATE), bytes(packet), packet.is_keyframe))

    def _sound(self, opus: OpusLine, packet: av.Packet[av.AudioStream]) -> None:
        for sound in opus.feed(packet):
            at = self._timeline.place("sound", sound.pts / SOUND_RATE, self._clock.now())
            self._deliver(CodedSound(round(at * SOUND_RATE), sound.payload))

    def _enter(self, state: SourceState, last_error: str | None = None) -> None:
        if state != self.condition.state or last_error not in (None, self.condition.last_error):
            self.condition = self.condition.entered(state, self._clock.now(), last_error)
            log.info("source of %s: %s %s", self._name, state, self.condition.last_error)
