"""The sound path of one channel: mixes ticks a little ahead of the picture, sends packets early."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import ENCODER_LAG_SLOTS
from broadcaster.codec.sound_line import IdleSound, SoundLine
from broadcaster.formats import AAC_FRAME_SAMPLES, AudioPacket, EncodeFormat
from broadcaster.mixer.mixer import Mixer


def lead_ticks(fmt: EncodeFormat, ahead_ms: int) -> int:
    """How many ticks the sound is mixed before its picture.

    The muxer holds a picture until a sound packet with a later timestamp is there, so sound is
    sent ``ahead_ms`` early; its encoder lags by three slots more. Timestamps are not shifted.
    """
    ahead = fmt.audio.sample_rate * ahead_ms // 1000
    reach = ahead + ENCODER_LAG_SLOTS * AAC_FRAME_SAMPLES
    return -(-reach // fmt.samples_per_tick) - 1


class SoundPath:
    """Packets of the channel's sound.

    Args:
        fmt: the channel's format.
        ahead_ms: how early packets are sent.
        mixer: what is on air.
        idle: the sound of the first programme.
    """

    def __init__(self, fmt: EncodeFormat, ahead_ms: int, mixer: Mixer, idle: IdleSound) -> None:
        self.lead_ticks = lead_ticks(fmt, ahead_ms)
        self._per_tick = fmt.samples_per_tick
        self._ahead = fmt.audio.sample_rate * ahead_ms // 1000
        self._mixer = mixer
        self._line = SoundLine(fmt.audio, fmt.samples_per_tick, idle)
        self._switch: tuple[int, IdleSound] | None = None
        self._mixed = 0
        for tick in range(self.lead_ticks):
            self._mix(tick)

    @property
    def live_packets(self) -> int:
        """AAC packets that were encoded live so far."""
        return self._line.live_packets

    @property
    def switching(self) -> bool:
        """True while a change of programme is decided but not yet mixed."""
        return self._switch is not None

    @property
    def mixed_samples(self) -> int:
        """Samples mixed so far, from the channel's first one."""
        return self._mixed

    def switch(self, at_tick: int, idle: IdleSound) -> None:
        """Change to the sound of another programme, cross-faded within ``at_tick``."""
        self._switch = (at_tick, idle)

    @property
    def cached(self) -> bool:
        """True while every packet comes from the idle table."""
        return self._line.cached and self._switch is None

    def idle_packets(self, tick: int) -> tuple[AudioPacket, ...]:
        """``packets`` for a tick at which nothing is decided; only while ``cached``."""
        self._mixed += self._per_tick
        self._line.feed_idle()
        return self._line.take(tick * self._per_tick + self._ahead)

    def packets(self, tick: int) -> tuple[AudioPacket, ...]:
        """Mix the sound that is due at ``tick`` and return the packets to send with its picture."""
        self._mix(tick + self.lead_ticks)
        return self._line.take(tick * self._per_tick + self._ahead)

    def _mix(self, tick: int) -> None:
        self._mixed += self._per_tick
        switching = self._switch is not None and self._switch[0] == tick
        mixed = self._mixer.sound(tick, lambda: self._idle_pcm(tick))
        if mixed is not None:
            self._line.feed(mixed)
        elif switching and not (self._line.idle.silent and self._next_idle().silent):
            self._line.feed(self._idle_pcm(tick))
        else:
            self._line.feed_idle()
        if switching:
            self._line.idle = self._next_idle()
            self._switch = None

    def _next_idle(self) -> IdleSound:
        return self._switch[1] if self._switch is not None else self._line.idle

    def _idle_pcm(self, tick: int) -> NDArray[np.float32]:
        first, count = tick * self._per_tick, self._per_tick
        pcm = self._line.idle.pcm(first, count)
        if self._switch is None or self._switch[0] != tick:
            return pcm
        angle = np.linspace(0.0, np.pi / 2, count, dtype=np.float32)
        mixed = pcm * np.cos(angle) + self._switch[1].pcm(first, count) * np.sin(angle)
        return np.asarray(mixed, dtype=np.float32)
