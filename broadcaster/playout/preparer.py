"""Watches the child that prepares idle programmes, and hands each finished one to its channel."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from broadcaster.clock import Clock
from broadcaster.errors import SourceError
from broadcaster.idle.loop import load_loop
from broadcaster.playout.channel import ChannelAir
from broadcaster.processes import start_child
from broadcaster.wire import Message

log = logging.getLogger(__name__)


class Preparer:
    """Prepares channels, then wished avatars, one after another, in one child at a time.

    Args:
        channels: in the order in which they shall be prepared.
        settings_file: the resolved settings, for the child.
        clock: for since-when.
    """

    def __init__(self, channels: list[ChannelAir], settings_file: Path, clock: Clock) -> None:
        self._channels, self._settings_file, self._clock = channels, settings_file, clock
        self._wished: queue.SimpleQueue[tuple[ChannelAir, Message] | None] = queue.SimpleQueue()
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="preparer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wish(self, channel: ChannelAir, avatar: Message) -> None:
        """Prepare an avatar for a channel, after what was wished before."""
        self._wished.put((channel, avatar))

    def stop(self) -> None:
        """Kill a child that is still at work."""
        self._stopping = True
        self._wished.put(None)
        child = self._child
        if child is not None and child.poll() is None:
            child.kill()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        for channel in self._channels:
            if not self._stopping:
                self._prepare(channel)
        while (wished := self._wished.get()) is not None and not self._stopping:
            self._prepare_avatar(*wished)

    def _prepare(self, channel: ChannelAir) -> None:
        code = self._run_child(channel, [], lambda news: self._take(channel, news))
        if code and not self._stopping:
            log.error("preparing the idle of %s ended with %d", channel.name, code)
            channel.idle_failed(f"preparing ended with exit code {code}")

    def _prepare_avatar(self, channel: ChannelAir, avatar: Message) -> None:
        told: list[Message] = []
        code = self._run_child(channel, ["--avatar", json.dumps(avatar)], told.append)
        if self._stopping:
            return
        error = next((str(each["error"]) for each in told if each["error"]), "")
        if error or code or not told:
            error = error or f"preparing ended with exit code {code}"
            log.error("channel %s, avatar %s: %s", channel.name, avatar["name"], error)
            channel.avatar_failed(avatar, error)
            return
        try:
            folder = told[-1]["folder"]
            loop = load_loop(Path(folder), channel.fmt) if folder else None
            channel.avatar_prepared(avatar, loop)
        except SourceError as fault:
            channel.avatar_failed(avatar, str(fault))

    def _run_child(
        self, channel: ChannelAir, more: list[str], take: Callable[[Message], None]
    ) -> int:
        """Run a child and hand on its lines; returns its exit code."""
        argv = [sys.executable, "-m", "broadcaster.idle.prepare"]
        argv += ["--settings", str(self._settings_file), "--channel", channel.name, *more]
        self._child = start_child(argv, stdout=subprocess.PIPE, foreign=False)
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                try:
                    news = json.loads(line)
                    take({key: news[key] for key in ("folder", "error", "avatar")})
                except (ValueError, LookupError, TypeError):
                    log.warning("the preparing child said %r", line[:200])
        return self._child.wait()

    def _take(self, channel: ChannelAir, news: Message) -> None:
        try:
            if news["folder"]:
                loop = load_loop(Path(news["folder"]), channel.fmt)
                channel.show_idle(loop, self._clock.now(), news["avatar"])
                log.info("channel %s: idle is now %r", channel.name, loop.title)
            if news["error"]:
                log.error("channel %s: %s", channel.name, news["error"])
                channel.idle_failed(news["error"])
        except SourceError as error:
            channel.idle_failed(str(error))
