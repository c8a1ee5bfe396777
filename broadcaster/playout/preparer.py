"""Watches the child that prepares idle programmes, and hands each finished one to its channel."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

from broadcaster.clock import Clock
from broadcaster.errors import SourceError
from broadcaster.idle.loop import load_loop
from broadcaster.playout.channel import ChannelAir
from broadcaster.processes import start_child

log = logging.getLogger(__name__)


class Preparer:
    """Prepares channels one after another, in one child at a time.

    Args:
        channels: in the order in which they shall be prepared.
        settings_file: the resolved settings, for the child.
        clock: for since-when.
    """

    def __init__(self, channels: list[ChannelAir], settings_file: Path, clock: Clock) -> None:
        self._channels, self._settings_file, self._clock = channels, settings_file, clock
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="preparer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Kill a child that is still at work."""
        self._stopping = True
        child = self._child
        if child is not None and child.poll() is None:
            child.kill()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        for channel in self._channels:
            if not self._stopping:
                self._prepare(channel)

    def _prepare(self, channel: ChannelAir) -> None:
        argv = [sys.executable, "-m", "broadcaster.idle.prepare"]
        argv += ["--settings", str(self._settings_file), "--channel", channel.name]
        self._child = start_child(argv, stdout=subprocess.PIPE, foreign=False)
        assert self._child.stdout is not None
        with self._child.stdout as lines:
            for line in lines:
                self._take(channel, line)
        code = self._child.wait()
        if code and not self._stopping:
            log.error("preparing the idle of %s ended with %d", channel.name, code)
            channel.idle_failed(f"preparing ended with exit code {code}")

    def _take(self, channel: ChannelAir, line: bytes) -> None:
        try:
            news = json.loads(line)
            if news["folder"]:
                loop = load_loop(Path(news["folder"]), channel.fmt)
                channel.show_idle(loop, self._clock.now())
                log.info("channel %s: idle is now %r", channel.name, loop.title)
            if news["error"]:
                log.error("channel %s: %s", channel.name, news["error"])
                channel.idle_failed(news["error"])
        except (ValueError, KeyError, SourceError) as error:
            channel.idle_failed(str(error))
