"""The studio's line to the playout: one subscription for events, short requests beside it.

The playout may die, hang or come later: the line reconnects for ever.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from broadcaster.wire import LineReader, Message, ask, connect, encode

ASK_TIMEOUT_S = 0.8
"""The playout answers in a tick (40 ms); longer means it hangs and is about to be replaced."""

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 1.0
"""A playout restarts within 5 s: retrying once a second finds it soon and costs nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task on air."""

    kind: str
    channel: str
    task_id: str
    played_samples: int
    error: str
    tick: int | None = None
    """When picture ``index`` of the task was on air."""
    index: int = 0
    refs: tuple[tuple[int, int], ...] = ()
    """Pictures that the playout needs no more: slot and generation."""
    ring: str = ""
    """The ring that they are in."""
    avatar: Message | None = None
    """Of which avatar ``state`` tells how far it is."""
    state: str = ""


def parse_event(message: Message) -> Event | None:
    """The event in a message; None for answers and for kinds yet unknown."""
    if "event" not in message:
        return None
    return Event(
        kind=str(message["event"]),
        channel=str(message.get("channel", "")),
        task_id=str(message.get("task_id") or ""),
        played_samples=int(message.get("played_samples") or 0),
        error=str(message.get("error") or ""),
        tick=message.get("tick"),
        index=int(message.get("index") or 0),
        refs=tuple((int(slot), int(age)) for slot, age in message.get("refs") or ()),
        ring=str(message.get("ring") or ""),
        avatar=message.get("avatar"),
        state=str(message.get("state") or ""),
    )


class PlayoutLink:
    """Subscription and requests; used by one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._reader = LineReader()
        self._retry_s = FIRST_RETRY_S
        self._retry_at = 0.0

    @property
    def connected(self) -> bool:
        """Whether events can arrive."""
        return self._socket is not None

    def retry_in(self, now: float) -> float:
        """Seconds until ``subscribe`` should be called; only while not connected."""
        return max(0.0, self._retry_at - now)

    def subscribe(self, now: float) -> socket.socket:
        """Connect and subscribe.

        Returns:
            The subscription, for a selector; unregister it before ``close``.

        Raises:
            OSError: the playout does not answer; ``retry_in`` says when to try again.
        """
        client: socket.socket | None = None
        try:
            client = connect(self._path, ASK_TIMEOUT_S)
            client.sendall(encode({"op": "subscribe"}))
            client.setblocking(False)
        except OSError:
            if client is not None:
                client.close()
            self._retry_at = now + self._retry_s
            self._retry_s = min(LONGEST_RETRY_S, self._retry_s * 2)
            raise
        self._socket, self._reader, self._retry_s = client, LineReader(), FIRST_RETRY_S
        return client

    def receive(self) -> list[Event]:
        """The events that have come.

        Raises:
            OSError: the playout went away; call ``close``.
        """
        if self._socket is None:
            return []
        try:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("the playout went away")
            events = [parse_event(message) for message in self._reader.feed(data)]
        except BlockingIOError:
            return []
        except (OSError, ValueError) as error:
            raise ConnectionResetError(str(error)) from error
        return [event for event in events if event is not None]

    def request(self, message: Message) -> Message:
        """Ask something and return the answer.

        Raises:
            OSError: no answer in time.
        """
        try:
            return ask(self._path, message, ASK_TIMEOUT_S)
        except ValueError as error:
            raise ConnectionResetError(str(error)) from error

    def interrupt(self, channel: str, task_id: str) -> None:
        """Stop a task if the playout still has it; the playout's death does the same."""
        with contextlib.suppress(OSError):
            self.request({"op": "interrupt", "channel": channel, "task_id": task_id})

    def withdraw(self, channel: str, task_id: str) -> bool:
        """Take back a task that waits; False when it has begun, or nobody answers."""
        with contextlib.suppress(OSError):
            request = {"op": "withdraw", "channel": channel, "task_id": task_id}
            return bool(self.request(request).get("ok"))
        return False

    def close(self) -> None:
        """End the subscription."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
