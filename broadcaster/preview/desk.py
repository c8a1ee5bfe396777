"""Takes offers and looks after the sessions: who watches what, and that all of it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiortc import RTCIceServer

from broadcaster.clock import Clock
from broadcaster.errors import PreviewRefused
from broadcaster.metrics import PREVIEW_PICTURES, PREVIEW_SESSIONS, PREVIEW_VIEWERS
from broadcaster.preview.channel import PreviewChannel
from broadcaster.preview.session import Session

log = logging.getLogger(__name__)

FULL_RETRY_S = 10
"""Somebody must leave first."""


class Desk:
    """All channels and sessions.

    Args:
        channels: by name.
        ice_servers: for every session.
        max_viewers: over all channels.
        clock: monotonic time.
    """

    def __init__(
        self,
        channels: Mapping[str, PreviewChannel],
        ice_servers: list[RTCIceServer],
        max_viewers: int,
        clock: Clock,
    ) -> None:
        self._channels, self._ice_servers = channels, ice_servers
        self._max_viewers, self._clock = max_viewers, clock
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arriving = 0
        self._counted: dict[str, int] = {}
        for name in channels:  # there from the start, at 0
            PREVIEW_VIEWERS.labels(name).set(0)
            PREVIEW_SESSIONS.labels(name)
            PREVIEW_PICTURES.labels(name)

    async def offer(self, name: str, sdp: str) -> tuple[str, str]:
        """Let a viewer in.

        Returns:
            The session's id and the answer.

        Raises:
            PreviewRefused: 404, 422, 429 or 503.
        """
        channel = self._channels.get(name)
        if channel is None:
            raise PreviewRefused(404, f"there is no channel {name}")
        if len(self._sessions) + self._arriving >= self._max_viewers:
            raise PreviewRefused(429, "too many viewers", FULL_RETRY_S)
        self._arriving += 1
        try:
            await channel.opened()
            return await self._let_in(channel, sdp)
        finally:
            self._arriving -= 1

    def leave(self, session_id: str) -> None:
        """A viewer says goodbye.

        Raises:
            PreviewRefused: 404, no such session.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise PreviewRefused(404, "there is no such session")
        session.leave()

    def attend(self) -> None:
        """Called every second: sources nobody needs, and the metrics."""
        now = self._clock.now()
        for channel in self._channels.values():
            channel.attend(now)
        for session in self._sessions.values():
            self._count(session)

    def report(self) -> dict[str, Any]:
        """What ``/status`` shows."""
        now = self._clock.now()
        return {
            "viewers": len(self._sessions),
            "channels": [
                {**channel.condition.report(now), "channel": name, "viewers": channel.watched}
                for name, channel in self._channels.items()
            ],
        }

    async def close(self) -> None:
        """End every session."""
        for session in list(self._sessions.values()):
            session.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for channel in self._channels.values():
            channel.close()

    async def _let_in(self, channel: PreviewChannel, sdp: str) -> tuple[str, str]:
        session = Session(channel.name, channel.fanout, self._ice_servers, self._clock)
        try:
            answer = await session.negotiate(sdp)
        except BaseException:
            await session.close()
            raise
        self._sessions[session.id] = session
        self._show(channel, +1)
        task = asyncio.create_task(self._look_after(session, channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return session.id, answer

    async def _look_after(self, session: Session, channel: PreviewChannel) -> None:
        reason = "the preview failed"
        try:
            reason = await session.run()
        finally:
            self._count(session)
            self._counted.pop(session.id, None)
            del self._sessions[session.id]
            self._show(channel, -1)
            await session.close()
            log.info("viewer of %s has gone: %s", channel.name, reason)

    def _show(self, channel: PreviewChannel, change: int) -> None:
        channel.watched += change
        PREVIEW_VIEWERS.labels(channel.name).set(channel.watched)
        if change > 0:
            PREVIEW_SESSIONS.labels(channel.name).inc()

    def _count(self, session: Session) -> None:
        sent = session.tracks.pictures_sent
        PREVIEW_PICTURES.labels(session.channel).inc(sent - self._counted.get(session.id, 0))
        self._counted[session.id] = sent
