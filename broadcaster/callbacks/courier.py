"""Delivers callbacks beside the studio's loop: a thread that looks, and a few that talk.

Each receiver gets one attempt at a time, so that a slow one holds up only itself; four are talked
to at once. Must never be waited for: every thread dies with the process, and what was not noted as
delivered is delivered again, with the same event id.
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

from broadcaster import __version__
from broadcaster.callbacks.delivery import WHOLE_S, Outcome, deliver
from broadcaster.callbacks.signature import HEADER, sign
from broadcaster.callbacks.target import Allowed, Target, read_target
from broadcaster.clock import wall_time_s
from broadcaster.errors import CallbackRefused, StoreError
from broadcaster.metrics import CALLBACKS, CALLBACKS_PENDING
from broadcaster.store.outbox import Callback, Outbox

PAUSES_S = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Between attempts; after the last one a receiver has been away for 12.6 minutes."""

POLL_S = 1.0
"""How soon something new is found."""

TALKS_AT_ONCE = 4

KEPT_AT_MOST = 20_000
"""Rows: two per task that the store keeps."""

HOUSEKEEPING_S = 600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Attempt:
    callback: Callback
    target: Target
    outcome: Outcome


class Courier:
    """Started once; ``close`` tells it to end and waits for nothing.

    Args:
        outbox: of the station's store; used by one thread here.
        secret: what callbacks are signed with.
        allowed: private receivers that may be called.
        history_s: how long delivered and failed ones can be looked at.
        trust: which certificates are believed; None for those of the system.
        whole_s: limit of one attempt.
        now_s: wall time; rows outlive the process, so their times must too.
    """

    def __init__(
        self,
        outbox: Outbox,
        secret: str,
        allowed: Allowed,
        history_s: float,
        trust: ssl.SSLContext | None = None,
        whole_s: float = WHOLE_S,
        now_s: Callable[[], float] = wall_time_s,
    ) -> None:
        self._outbox, self._secret, self._allowed = outbox, secret, allowed
        self._trust = trust or ssl.create_default_context()
        self._whole_s, self._history_s, self._now_s = whole_s, history_s, now_s
        self._talking: dict[str, str] = {}
        """Event id to receiver, until the outcome is noted: none is sent twice meanwhile."""
        self._outcomes: queue.SimpleQueue[_Attempt] = queue.SimpleQueue()
        self._unnoted: list[_Attempt] = []
        self._awake = threading.Event()
        self._ending = False
        self._tidy_at_s = 0.0

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="callbacks", daemon=True).start()

    def close(self) -> None:
        """Begin nothing more."""
        self._ending = True
        self._awake.set()

    def run_once(self) -> None:
        """Note what came back, begin what is due.

        Raises:
            StoreError: the store cannot be used now; nothing is lost.
        """
        self._note()
        for callback in self._outbox.due(self._now_s()):
            if len(self._talking) >= TALKS_AT_ONCE:
                break
            if callback.event_id not in self._talking:
                self._begin(callback)
        CALLBACKS_PENDING.set(self._outbox.pending())
        if self._now_s() >= self._tidy_at_s:
            self._tidy_at_s = self._now_s() + HOUSEKEEPING_S
            self._outbox.forget(self._now_s() - self._history_s, KEPT_AT_MOST)

    def _run(self) -> None:
        while not self._ending:
            try:
                self.run_once()
            except StoreError as error:
                log.warning("callbacks wait: %s", error)
            except Exception:
                log.exception("delivering callbacks stumbled")
            self._awake.wait(POLL_S)
            self._awake.clear()

    def _begin(self, callback: Callback) -> None:
        try:
            target = read_target(callback.url)
        except CallbackRefused as error:  # it was accepted, so another version wrote it
            self._outbox.given_up(callback.event_id, str(error), self._now_s())
            return
        if target.place in self._talking.values():
            return
        self._talking[callback.event_id] = target.place
        threading.Thread(
            target=self._talk, args=(callback, target), name="callback", daemon=True
        ).start()

    def _talk(self, callback: Callback, target: Target) -> None:
        """In a thread of its own, which touches no store."""
        outcome = Outcome(False, "the attempt failed")
        try:
            body = body_of(callback)
            headers = {
                "Content-Type": "application/json",
                "User-Agent": f"broadcaster/{__version__}",
                "Connection": "close",
                "X-Broadcaster-Event": callback.event,
                "X-Broadcaster-Event-Id": callback.event_id,
                HEADER: sign(self._secret, int(self._now_s()), body),
            }
            outcome = deliver(target, body, headers, self._allowed, self._trust, self._whole_s)
        finally:
            self._outcomes.put(_Attempt(callback, target, outcome))
            self._awake.set()

    def _note(self) -> None:
        """Write down what came back; what cannot be written stays, and is not sent again."""
        while not self._outcomes.empty():
            self._unnoted.append(self._outcomes.get())
        while self._unnoted:
            self._note_one(self._unnoted[0])
            attempt = self._unnoted.pop(0)
            del self._talking[attempt.callback.event_id]

    def _note_one(self, attempt: _Attempt) -> None:
        callback, outcome, now_s = attempt.callback, attempt.outcome, self._now_s()
        what = f"callback {callback.event_id} ({callback.event}) to {attempt.target.place}"
        if outcome.delivered:
            self._outbox.delivered(callback.event_id, now_s)
            CALLBACKS.labels("delivered").inc()
            log.debug("%s was delivered", what)
        elif outcome.hopeless or callback.attempts >= len(PAUSES_S):
            self._outbox.given_up(callback.event_id, outcome.error, now_s)
            CALLBACKS.labels("failed").inc()
            log.warning("%s is given up: %s", what, outcome.error)
        else:
            pause_s = PAUSES_S[callback.attempts]
            self._outbox.put_off(callback.event_id, outcome.error, now_s + pause_s)
            CALLBACKS.labels("retried").inc()
            log.info("%s is tried again in %g s: %s", what, pause_s, outcome.error)


def body_of(callback: Callback) -> bytes:
    """What is sent: the same bytes in every attempt."""
    told = {"event": callback.event, "event_id": callback.event_id, **json.loads(callback.details)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
