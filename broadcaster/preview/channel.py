"""One channel as viewers find it: its source, open while somebody watches, and its fan-out.

Lives in the event loop; the source's thread only leaves packets here.
"""

from __future__ import annotations

import asyncio
import contextlib

from broadcaster.clock import Clock
from broadcaster.condition import Condition
from broadcaster.errors import PreviewRefused
from broadcaster.metrics import PREVIEW_SOURCE_UP
from broadcaster.preview.fanout import Fanout
from broadcaster.preview.packets import CodedPicture, CodedSound
from broadcaster.preview.source import ChannelSource, SourceState

FIRST_PICTURE_S = 2.5
"""How long the first viewer's offer waits for the stream: until the next IDR, usually 1 s."""

LINGER_S = 20.0
"""The source stays open so long after its last viewer: a reloaded page finds it running."""

RETRY_AFTER_S = 1


class PreviewChannel:
    """A channel.

    Args:
        name: of the channel.
        url: where the relay gives it.
        clock: monotonic time.
        loop: where packets are handled.
    """

    def __init__(self, name: str, url: str, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self.name = name
        self.fanout = Fanout()
        self.watched = 0
        self._clock, self._loop = clock, loop
        self._source = ChannelSource(name, url, self._from_thread, clock)
        self._wanted_until = 0.0
        self._flowing = asyncio.Event()
        self.show_state()

    @property
    def condition(self) -> Condition:
        """The source's."""
        return self._source.condition

    async def opened(self) -> None:
        """Make sure that the stream flows; it stays open for a while from now on.

        Raises:
            PreviewRefused: 503, it does not.
        """
        self._wanted_until = self._clock.now() + LINGER_S
        self._source.start()
        if self._source.condition.state != SourceState.WAITING:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._flowing.wait(), FIRST_PICTURE_S)
        if not self.fanout.has_picture:
            reason = self._source.condition.last_error or "no picture came"
            raise PreviewRefused(
                503, f"channel {self.name} has no stream now: {reason}", RETRY_AFTER_S
            )

    def attend(self, now: float) -> None:
        """Called every now and then: close the source that nobody watches any more."""
        if self.watched:
            self._wanted_until = now + LINGER_S
        elif self._source.running and now >= self._wanted_until:
            self.close()
        self.show_state()

    def close(self) -> None:
        """Stop the source."""
        self._source.stop()
        self._broke_off()

    def show_state(self) -> None:
        """Put the source's state into the metrics."""
        PREVIEW_SOURCE_UP.labels(self.name).set(self.condition.state == SourceState.LIVE)

    def _from_thread(self, packet: CodedPicture | CodedSound | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: the process ends
            self._loop.call_soon_threadsafe(self._take, packet)

    def _take(self, packet: CodedPicture | CodedSound | None) -> None:
        if not self._source.running:
            return
        if isinstance(packet, CodedPicture):
            self.fanout.show(packet)
            if self.fanout.has_picture:
                self._flowing.set()
        elif isinstance(packet, CodedSound):
            self.fanout.sound(packet)
        else:
            self._broke_off()

    def _broke_off(self) -> None:
        self._flowing.clear()
        self.fanout.reset()
