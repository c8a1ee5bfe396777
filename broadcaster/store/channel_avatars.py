"""Which avatar is wished on a channel, and how far that is: durable, from API to studio.

The API writes wishes, the studio what became of them; each looks at what the other wrote. A wish
survives restarts; a channel without one has the avatar of the settings.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from broadcaster.clock import wall_time_s
from broadcaster.store.connections import Connections
from broadcaster.store.schema import translated, writing


class WishState(StrEnum):
    """How a wish stands."""

    SAME = "same"
    """What is wished is on air."""
    PREPARING = "preparing"
    FAILED = "failed"
    """It cannot be shown: the avatar before it stays."""


@dataclass(frozen=True, slots=True)
class ChannelAvatar:
    """One channel's record; ``wished`` is empty for the avatar of the settings.

    ``number`` counts the wishes, so that what became of an earlier one is never taken for the
    newest; ``on_air`` is empty until an avatar was on air. ``changed_s`` is wall time.
    """

    channel: str
    wished: str = ""
    number: int = 0
    on_air: str = ""
    state: WishState = WishState.PREPARING
    error: str = ""
    changed_s: float = 0.0

    def coming(self, default: str) -> str:
        """Who shows what begins from now on: who is wished, unless that failed.

        Args:
            default: the avatar of the settings.
        """
        if self.state is WishState.FAILED:
            return self.on_air or default
        return self.wished or default


class ChannelAvatars:
    """The records of all channels.

    Args:
        database: the store's file.
    """

    def __init__(self, database: Path) -> None:
        self._connections = Connections(database)

    def all(self) -> dict[str, ChannelAvatar]:
        """Every record, by channel.

        Raises:
            StoreError: the store cannot be read.
        """
        with translated():
            rows = self._connections.own().execute("SELECT * FROM channel_avatars").fetchall()
        return {row["channel"]: _record(row) for row in rows}

    def of(self, channel: str) -> ChannelAvatar:
        """The record of one channel; an empty one where nothing was ever written."""
        return self.all().get(channel, ChannelAvatar(channel))

    def wish(self, channel: str, avatar: str) -> ChannelAvatar:
        """Wish an avatar on a channel; empty for that of the settings. Durable on return.

        Raises:
            StoreError: nothing was written.
        """
        connection = self._connections.own()
        with writing(connection):
            connection.execute(
                "INSERT INTO channel_avatars (channel, wished, number, changed_s) "
                "VALUES (?, ?, 1, ?) ON CONFLICT (channel) DO UPDATE SET "
                "wished = excluded.wished, number = number + 1, state = 'preparing', error = '', "
                "changed_s = excluded.changed_s",
                (channel, avatar, wall_time_s()),
            )
        return self.of(channel)

    def became(self, record: ChannelAvatar) -> None:
        """Note what became of the wish with the record's number; of an older one only ``on_air``.

        Raises:
            StoreError: nothing was written.
        """
        connection = self._connections.own()
        now_s = wall_time_s()
        with writing(connection):
            connection.execute(
                "INSERT INTO channel_avatars (channel, changed_s) VALUES (?, ?) "
                "ON CONFLICT (channel) DO NOTHING",
                (record.channel, now_s),
            )
            connection.execute(
                "UPDATE channel_avatars SET on_air = ? WHERE channel = ?",
                (record.on_air, record.channel),
            )
            connection.execute(
                "UPDATE channel_avatars SET state = ?, error = ?, changed_s = ? "
                "WHERE channel = ? AND number = ?",
                (record.state, record.error, now_s, record.channel, record.number),
            )

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()


def _record(row: sqlite3.Row) -> ChannelAvatar:
    return ChannelAvatar(**{**dict(row), "state": WishState(row["state"])})
