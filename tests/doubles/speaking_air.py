"""A task as the station says it: the studio's stage and a channel, on virtual ticks, one process.

The real workers render, the real channel decides and mixes; only the sockets between them and the
clock are missing. A tick waits until the task has all that it needs for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broadcaster.avatars.found import find_bundled
from broadcaster.codec.sound_line import Silence
from broadcaster.formats import EncodeFormat
from broadcaster.idle.encode import encode_pictures
from broadcaster.idle.loop import EncodedLoop
from broadcaster.idle.presenter import avatar_pictures
from broadcaster.playout.spoken import SpokenSource
from broadcaster.playout.task_door import PlayOrder
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.studio.stage import Readiness, Stage
from broadcaster.wire import Message
from gpu_pool.contracts import PictureRef
from gpu_pool.ring import RingReader
from tests.doubles.channel_air import Air

TASK = "a"
STUCK_AFTER_S = 60.0


def presenter_loop(name: str, fmt: EncodeFormat) -> EncodedLoop:
    """What the child that prepares idle makes."""
    avatar = find_bundled(name)
    assert avatar is not None
    pictures = avatar_pictures(avatar, fmt, still=False)
    packets, sets = encode_pictures(pictures, fmt)
    return EncodedLoop(name, packets, sets, Silence(fmt.audio))


class SpeakingAir:
    """One channel that says one task."""

    def __init__(self, settings: SettingsModel, loop: EncodedLoop, fmt: EncodeFormat) -> None:
        self.air = Air(loop, fmt)
        anna = find_bundled("anna")
        assert anna is not None
        self.stage = Stage(settings, self._announce, time.monotonic, {"main": anna})
        self._length = self._pictures = 0
        self._until(lambda: self.stage.readiness("main") is Readiness.READY)

    def say(self, files: SoundFiles, samples: int, mouths: Path) -> int:
        """Say a sound to its end and past the fade; returns the tick at which it began."""
        asked = self.stage.order("main", samples)
        reader = RingReader(Path(asked["ring"]))
        lead, preroll = int(asked["lead_ticks"]), int(asked["preroll_ticks"])
        order = PlayOrder(TASK, files.sound, samples, 0, lead, preroll)
        answer = self.air.call(lambda: self.air.channel.play(order, reader))
        self._length, self._pictures = int(answer["spoken"]), int(answer["pictures"])
        self.stage.begin("main", TASK, answer, files.sound_16k, mouths)
        begins = int(answer["tick"])
        while self.air.channel.tick < begins + self._pictures + self.air.fmt.gop_ticks:
            self._until(lambda: self._may_tick(begins))
            self.air.run(1)
        assert self.air.told(TASK) == ["started", "done"]
        return begins

    def close(self) -> None:
        self.air.close()
        self.stage.close()

    def _may_tick(self, begins: int) -> bool:
        self._carry_events()
        self.stage.bring_forward()
        source = self.air.channel._tasks.source(TASK)
        if not isinstance(source, SpokenSource) or source.rendered is None:
            return True  # not taken yet, or over
        shown = max(0, self.air.channel.tick - begins)
        heard = max(0, self.air.channel._first_free_tick - begins)
        sound = heard >= self._length or source.ready_from(heard) > 0
        return sound and source.rendered.ready_from(min(shown, self._pictures - 1)) > 0

    def _announce(self, message: Message) -> None:
        refs = message["refs"]
        pairs = None if refs is None else [PictureRef(*pair) for pair in refs]
        count = len(pairs) if pairs is not None else int(message["count"])
        self.air.channel.announce(TASK, int(message["first"]), pairs, count)

    def _carry_events(self) -> None:
        events: list[dict[str, Any]] = self.air.events
        for event in [e for e in events if e["event"] == "released"]:
            events.remove(event)
            self.stage.on_released([(s, g) for s, g in event["refs"]], event["ring"])
        for event in [e for e in events if e["event"] == "progress"]:
            events.remove(event)
            self.stage.on_place(TASK, event["index"], event["tick"])
        begun = [e for e in events if e["event"] == "started"]
        if begun:
            self.stage.on_place(TASK, begun[0]["index"], begun[0]["tick"])

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + STUCK_AFTER_S
        while not condition():
            assert time.monotonic() < deadline, "the stage never had what was needed"
            self._run_commands()
            self.stage.bring_forward()
            time.sleep(0.001)

    def _run_commands(self) -> None:
        """What was announced since the last tick; a channel does it at the next one."""
        while self.air.channel._commands:
            self.air.channel._commands.popleft()()
