"""The two switches between idle and a task, as a channel composes them before its encoder.

A real channel runs over virtual ticks, with the presenter's encoded loop as idle and a task drawn
by the engine itself. Its encoder and its mixer are overheard. On idle ticks the picture is what the
loop's packets decode to, as viewers see it; a task's pictures come fresh from the engine.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

import idle_media
from benchmarks.air import format_of
from benchmarks.rig import SIZES, SOUND_RATE
from broadcaster.avatars.found import find_bundled
from broadcaster.codec.h264_decode import PictureDecoder
from broadcaster.codec.x264 import PictureEncoder
from broadcaster.formats import EncodeFormat, VideoPacket
from broadcaster.idle.encode import encode_pictures
from broadcaster.idle.loop import EncodedLoop
from broadcaster.idle.presenter import avatar_pictures
from broadcaster.mixer.blend import Picture
from broadcaster.mixer.mixer import IdlePcm, Mixer
from broadcaster.playout import channel as channel_module
from broadcaster.playout import video_path
from broadcaster.playout.channel import ChannelAir
from gpu_pool.contracts import AvatarRef, Batch, BatchKey, PictureFormat
from gpu_pool.engines.presenter.engine import make
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles.virtual_air import chord, run_tick, run_until

Sound = NDArray[np.float32]

FADE_TICKS = 10
"""As the station's default, 400 ms."""

SETTLE_TICKS = 30


class Rendered:
    """A task as the presenter's engine draws it, each picture on the body of its tick."""

    def __init__(self, task_id: str, sound: Sound, channel: ChannelAir) -> None:
        """``sound`` is float32 mono at 16 kHz."""
        self.task_id, self.error = task_id, ""
        self._channel, self._fmt, self._sound = channel, channel.fmt, sound
        self.length_ticks = -(-len(sound) * self._fmt.video.fps // 16_000)
        self._stereo = self._at_48_khz()
        video = self._fmt.video
        self._engine = make({})
        self._engine.load("cpu")
        atlas = idle_media.atlas(idle_media.DEFAULT, video.width, video.height)
        look = PictureFormat(video.width, video.height, video.fps)
        self._engine.prepare(AvatarRef("who", str(atlas), look))
        self._drawn: dict[int, Picture] = {}

    def _at_48_khz(self) -> Sound:
        """Every sample thrice: nothing here listens to it."""
        mono = np.repeat(self._sound, SOUND_RATE // 16_000)
        padded = np.zeros(self.length_ticks * self._fmt.samples_per_tick, np.float32)
        padded[: len(mono)] = mono
        return np.stack([padded, padded])

    def sound(self, index: int) -> Sound | None:
        at = index * self._fmt.samples_per_tick
        return self._stereo[:, at : at + self._fmt.samples_per_tick]

    def ready_from(self, index: int) -> int:
        return self.length_ticks - index

    def idle_from(self, index: int) -> int | None:
        return None

    def picture(self, index: int, idle: Picture) -> Picture:
        if index not in self._drawn:
            self._draw(index, self._channel.tick)
        return self._drawn[index]

    def played_samples(self, index: int) -> int:
        return index * self._fmt.samples_per_tick

    def close(self) -> None:
        pass

    def _draw(self, index: int, tick: int) -> None:
        """The ten pictures from ``index`` on, the first of them for ``tick``."""
        fps, needs = self._fmt.video.fps, self._engine.needs
        count = needs.batch_pictures
        window = cut_sound(self._sound, 0, sound_span(needs, fps, index, count))
        key = BatchKey("main", self.task_id, 1, index)
        cues = {"spoken": self.length_ticks}
        batch = Batch(key, count, "who", tick, window, cues=cues)
        out = [np.zeros(self._fmt.video.i420_shape, np.uint8) for _ in range(count)]
        heard = self._engine.features(window, index, count, fps)
        self._engine.render(batch, heard, out, lambda: False)
        self._drawn = dict(zip(range(index, index + count), out, strict=True))


@dataclass
class Overheard:
    """What the channel composed: pictures given to the encoder, and the sound of every tick."""

    pictures: dict[int, Picture] = field(default_factory=dict)
    sound: dict[int, Sound] = field(default_factory=dict)


def overhear() -> Overheard:
    """From now on, what any channel of this process composes is noted as well."""
    heard = Overheard()

    class Encoder(PictureEncoder):
        def encode(self, picture: Picture, tick: int, force_idr: bool) -> VideoPacket:
            heard.pictures[tick] = picture.copy()
            return super().encode(picture, tick, force_idr)

    class Heard(Mixer):
        def sound(self, tick: int, idle_pcm: IdlePcm) -> Sound | None:
            mixed = super().sound(tick, idle_pcm)
            heard.sound[tick] = idle_pcm() if mixed is None else mixed
            return mixed

    vars(video_path)["PictureEncoder"] = Encoder
    vars(channel_module)["Mixer"] = Heard
    return heard


@dataclass(frozen=True, slots=True)
class Switches:
    """One task's way onto the air and off it.

    ``into`` and ``out`` are mean luma differences of neighbours from the last picture before the
    switch to the first one behind its fade; ``steps_db`` the jumps from one sample to the next
    where the task's sound begins and ends, in dBFS.
    """

    into: NDArray[np.float64]
    out: NDArray[np.float64]
    steps_db: tuple[float, float]


class Channel:
    """One channel, its idle loop in pictures, and what it composes."""

    def __init__(self) -> None:
        self.fmt: EncodeFormat = format_of(SIZES["720p25"])
        anna = find_bundled(idle_media.DEFAULT)
        assert anna is not None
        fresh = avatar_pictures(anna, self.fmt, False)
        packets, sets = encode_pictures(fresh, self.fmt)
        self._heard = overhear()
        loop = EncodedLoop("presenter", packets, sets, chord(self.fmt))
        self._air = ChannelAir("main", self.fmt, loop, FADE_TICKS, 60, True, self._note)
        decoder = PictureDecoder(sets.avc_config())
        self._idle = [decoder.decode(packet) for packet in packets]
        self.codec_loss = float(
            np.mean([self._apart(a, b) for a, b in zip(self._idle, fresh(), strict=True)])
        )
        self._events: list[dict[str, object]] = []

    def _note(self, event: dict[str, object]) -> None:
        self._events.append(event)

    def close(self) -> None:
        self._air.close(1.0)

    def say(self, sound: Sound, interrupt_after: int = 0) -> Switches:
        """Say a sound; ``interrupt_after`` ticks on air it is interrupted, 0 for not."""
        air, name = self._air, str(len(self._events))
        source = Rendered(name, sound, air)
        air._commands.append(lambda: air._tasks.add(source))
        while not self._told("started", name):
            run_tick(air)
        start = self._at("started", name)
        if interrupt_after:
            run_until(air, start + interrupt_after)
            first_free = air._first_free_tick
            air._commands.append(lambda: air._tasks.interrupt(name, first_free))
        while not (self._told("done", name) or self._told("interrupted", name)):
            run_tick(air)
        over = self._at("interrupted" if interrupt_after else "done", name) + 1
        run_until(air, over + FADE_TICKS + SETTLE_TICKS)
        into = self._neighbours(start - 1, start + FADE_TICKS + 1)
        out = self._neighbours(over - 1, over + FADE_TICKS + 1)
        return Switches(into, out, (self._step_db(start), self._step_db(over)))

    def ordinary(self) -> NDArray[np.float64]:
        """Differences of neighbours in the loop as it is on air."""
        turn = [*self._idle, self._idle[0]]
        return np.array([self._apart(a, b) for a, b in itertools.pairwise(turn)])

    def talking(self, sound: Sound) -> NDArray[np.float64]:
        """Differences of neighbours in the middle of the last task, fully on air."""
        length = len(sound) * self.fmt.video.fps // 16_000
        start = self._at("started", str(self._events[-1]["task_id"]))
        return self._neighbours(start + FADE_TICKS + 1, start + length - 1)

    def _told(self, kind: str, name: str) -> bool:
        return any(e["event"] == kind and e["task_id"] == name for e in self._events)

    def _at(self, kind: str, name: str) -> int:
        return next(
            int(str(e["at_tick"]))
            for e in self._events
            if e["event"] == kind and e["task_id"] == name
        )

    def _shown(self, tick: int) -> Picture:
        return self._heard.pictures.get(tick, self._idle[tick % len(self._idle)])

    def _neighbours(self, first: int, last: int) -> NDArray[np.float64]:
        return np.array(
            [self._apart(self._shown(t), self._shown(t + 1)) for t in range(first, last)]
        )

    def _apart(self, one: Picture, other: Picture) -> float:
        rows = self.fmt.video.height
        return float(np.abs(one[:rows].astype(np.int16) - other[:rows]).mean())

    def _step_db(self, tick: int) -> float:
        before, after = self._heard.sound[tick - 1], self._heard.sound[tick]
        jump = float(np.abs(after[:, 0] - before[:, -1]).max())
        return float(20 * np.log10(max(jump, 1e-9)))
