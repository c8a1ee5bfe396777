"""The journal of avatars that are made from uploads: what is wanted, how far it is, how it ended.

The API writes what is wanted, the studio what became of it. The avatars themselves lie on the
shelf (``broadcaster.avatars.shelf``): a row without a folder is a making or a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from broadcaster.clock import wall_time_s
from broadcaster.errors import AvatarConflict, AvatarNotFound
from broadcaster.store.queue import Queue
from broadcaster.store.schema import translated, writing

MOST_ATTEMPTS = 3
"""A making that takes its studio with it so often is given up."""

MOST_ROWS = 1000
"""Rows kept; a failure older than so many others has been read by whom it concerns."""


class AvatarState(StrEnum):
    """How a making stands; the words of the API."""

    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AvatarRow:
    """One avatar that was asked for through the API.

    Attributes:
        name: of the avatar.
        id: of the folder in which its upload lies; empty where only the handles change.
        state: of the newest making.
        engine: that is to draw it.
        source_name: what the client called its file: for display only, it never becomes a path.
        handles: JSON of the points that were given by hand; empty for none.
        fingerprint: of the request, so that sending it twice is harmless.
        callback_url: whom to tell; empty for nobody.
        progress: of the making, 0 to 1.
        step: what is being done, in words.
        error: why it failed; of a change that failed while the avatar stays as it was, too.
        attempts: how often a studio has begun with it.
        created_s: wall seconds; ``updated_s`` and ``ended_s`` as well.
        place: the order of arrival.
    """

    name: str
    id: str
    engine: str
    state: AvatarState = AvatarState.MAKING
    source_name: str = ""
    handles: str = ""
    fingerprint: str = ""
    callback_url: str = ""
    progress: float = 0.0
    step: str = ""
    error: str = ""
    attempts: int = 0
    created_s: float = 0.0
    updated_s: float = 0.0
    ended_s: float | None = None
    place: int = 0


_NAMES = tuple(field.name for field in fields(AvatarRow))
_GIVEN = tuple(name for name in _NAMES if name != "place")


class AvatarJournal(Queue):
    """The table of avatars.

    Args:
        database: the SQLite file of the store, made when missing.
        queue_limit: makings that may wait at once.
    """

    WAITING = "SELECT count(*) FROM avatars WHERE state = 'making'"
    FULL = "avatars are being made already"
    RETRY_AFTER_S = 30
    """Most avatars are made by then."""

    def ask(self, row: AvatarRow, adopt: Callable[[], None], on_shelf: bool) -> AvatarRow:
        """Write down that an avatar is to be made; it is on the disk when this returns.

        Args:
            row: what is wanted.
            adopt: moves the upload to where the studio looks for it; called inside the transaction.
            on_shelf: an avatar of this name is there already.

        Returns:
            The row; an earlier one where the same was asked before, and then nothing was done.

        Raises:
            AvatarConflict: the name is taken.
            TaskRejected: 429, too many wait.
            StoreError: nothing was written.
        """
        with writing(self._connection):
            earlier = self.find(row.name)
            if earlier is not None and _same(earlier, row, on_shelf):
                return earlier
            if on_shelf or (earlier is not None and earlier.state is AvatarState.MAKING):
                raise AvatarConflict(f"there is an avatar {row.name} already")
            self._refuse_when_full()
            adopt()
            return self._put(row)

    def ask_again(self, row: AvatarRow) -> AvatarRow:
        """Write down that an avatar on the shelf is to be changed.

        Raises:
            AvatarConflict: it is being made or changed right now.
            TaskRejected: 429, too many wait.
        """
        with writing(self._connection):
            earlier = self.find(row.name)
            if earlier is not None and earlier.state is AvatarState.MAKING:
                raise AvatarConflict(f"the avatar {row.name} is being changed already")
            self._refuse_when_full()
            before = earlier or row
            return self._put(
                replace(row, fingerprint=before.fingerprint, source_name=before.source_name)
            )

    def find(self, name: str) -> AvatarRow | None:
        """The row of an avatar; None where nobody asked for it here."""
        found = self._select("WHERE name = ?", (name,))
        return found[0] if found else None

    def all(self) -> list[AvatarRow]:
        """Every row, the oldest first."""
        return self._select("ORDER BY place")

    def next(self) -> AvatarRow | None:
        """The making that has waited longest."""
        found = self._select("WHERE state = 'making' ORDER BY place LIMIT 1")
        return found[0] if found else None

    def ended_since(self, at_s: float, limit: int = 100) -> list[AvatarRow]:
        """Makings that ended at ``at_s`` (wall time) or later, in the order of their ends."""
        return self._select("WHERE ended_s >= ? ORDER BY ended_s LIMIT ?", (at_s, limit))

    def begin(self, place: int) -> None:
        """A studio begins with a making."""
        self._change(place, "attempts = attempts + 1, progress = 0, step = ''")

    def note(self, place: int, progress: float, step: str) -> bool:
        """Note how far a making is; False when nobody wants it any more."""
        return self._change(place, "progress = ?, step = ?", progress, step)

    def end(self, place: int, error: str = "") -> bool:
        """A making is over; ``error`` tells why it failed. False when nobody wanted it any more."""
        state = AvatarState.FAILED if error else AvatarState.READY
        changes = "state = ?, error = ?, step = '', ended_s = ?"
        if not error:
            changes += ", progress = 1"
        return self._change(place, changes, state, error, wall_time_s())

    def give_up(self) -> int:
        """Fail what was begun too often; called by a starting studio. Returns how many."""
        error = "making it was interrupted too often"
        found = self._select("WHERE state = 'making' AND attempts >= ?", (MOST_ATTEMPTS,))
        for row in found:
            self.end(row.place, error)
        return len(found)

    def forget(self, name: str) -> AvatarRow:
        """Forget an avatar; one that is being made is not wanted any more.

        Raises:
            AvatarNotFound: there is no such row.
        """
        with writing(self._connection):
            row = self.find(name)
            if row is None:
                raise AvatarNotFound(f"there is no avatar {name}")
            self._connection.execute("DELETE FROM avatars WHERE name = ?", (name,))
        return row

    def keep_newest(self, most: int = MOST_ROWS) -> None:
        """Forget the oldest failures, so that the table stays small."""
        with writing(self._connection):
            self._connection.execute(
                "DELETE FROM avatars WHERE state = 'failed' AND place NOT IN "
                "(SELECT place FROM avatars ORDER BY place DESC LIMIT ?)",
                (most,),
            )

    def _put(self, row: AvatarRow) -> AvatarRow:
        """Replace the row of this name; it goes to the end of the line."""
        now_s = wall_time_s()
        new = replace(row, created_s=row.created_s or now_s, updated_s=now_s)
        self._connection.execute("DELETE FROM avatars WHERE name = ?", (row.name,))
        self._connection.execute(
            f"INSERT INTO avatars ({', '.join(_GIVEN)}) VALUES ({', '.join('?' * len(_GIVEN))})",  # noqa: S608 - our own names
            tuple(getattr(new, name) for name in _GIVEN),
        )
        return self._select("WHERE name = ?", (row.name,))[0]

    def _change(self, place: int, changes: str, *bound: Any) -> bool:  # noqa: ANN401
        """Change a making that is still one."""
        with writing(self._connection):
            done = self._connection.execute(
                f"UPDATE avatars SET {changes}, updated_s = ? WHERE place = ? AND state = 'making'",  # noqa: S608 - our own words, values are bound
                (*bound, wall_time_s(), place),
            )
        return done.rowcount == 1

    def _select(self, clause: str, bound: tuple[Any, ...] = ()) -> list[AvatarRow]:
        with translated():
            rows = self._connection.execute(
                f"SELECT {', '.join(_NAMES)} FROM avatars {clause}",  # noqa: S608 - clauses are ours, values are bound
                bound,
            ).fetchall()
        return [AvatarRow(**{**dict(row), "state": AvatarState(row["state"])}) for row in rows]


def _same(earlier: AvatarRow, row: AvatarRow, on_shelf: bool) -> bool:
    """Whether the same was asked before, and came or comes to something."""
    if not row.fingerprint or earlier.fingerprint != row.fingerprint:
        return False
    return on_shelf or earlier.state is AvatarState.MAKING
