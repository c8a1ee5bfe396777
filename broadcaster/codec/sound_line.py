"""The channel's sound line: PCM of ticks in, AAC packets on the absolute slot grid out.

While idle sound plays unchanged its packets come from a table (one cached packet for silence) at
no cost; around anything else a fresh encoder takes over, primed with what was on air, and hands
back when its sound has ended. AAC packets overlap, so the live range for a sound that occupies
slots [K1, K2) is [K1 - 1, K2 + 1): then the splice is exact.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.aac import ENCODER_LAG_SLOTS, PRIMING_SLOTS, SoundEncoder, encode_periodic
from broadcaster.formats import AAC_FRAME_SAMPLES, AUDIO_CHANNELS, AudioFormat, AudioPacket


class IdleSound(Protocol):
    """The sound of an idle programme as a function of the absolute sample number."""

    @property
    def silent(self) -> bool:
        """True when every sample is zero."""
        ...

    @property
    def packets(self) -> tuple[bytes, ...] | None:
        """The AAC packets of one period, or None when the loop must be encoded live."""
        ...

    def pcm(self, first_sample: int, count: int) -> NDArray[np.float32]:
        """Samples as float32 of shape (2, count)."""
        ...


class Silence:
    """Digital silence: one cached packet serves for ever."""

    silent = True

    def __init__(self, fmt: AudioFormat) -> None:
        zeros = np.zeros((AUDIO_CHANNELS, 8 * AAC_FRAME_SAMPLES), np.float32)
        self.packets: tuple[bytes, ...] | None = encode_periodic(zeros, fmt)[-1:]

    def pcm(self, first_sample: int, count: int) -> NDArray[np.float32]:
        """Zeros of shape (2, count)."""
        return np.zeros((AUDIO_CHANNELS, count), np.float32)


class SoundLoop:
    """An audible loop.

    Args:
        loop: float32 of shape (2, n); sample s of the air is ``loop[:, s % n]``.
        packets: the AAC packets of a whole number of periods, or None.
    """

    silent = False

    def __init__(self, loop: NDArray[np.float32], packets: tuple[bytes, ...] | None) -> None:
        self._loop = loop
        self.packets = packets

    def pcm(self, first_sample: int, count: int) -> NDArray[np.float32]:
        """Samples of shape (2, count), wrapping round."""
        period = self._loop.shape[1]
        index = np.arange(first_sample, first_sample + count) % period
        return np.ascontiguousarray(self._loop[:, index])


class SoundLine:
    """Turns the sound of consecutive ticks into packets.

    Args:
        fmt: the channel's sound.
        samples_per_tick: samples of one tick.
        idle: what is on air while nothing is fed.
    """

    def __init__(self, fmt: AudioFormat, samples_per_tick: int, idle: IdleSound) -> None:
        self._fmt = fmt
        self._per_tick = samples_per_tick
        self.idle = idle
        self._fed = 0
        self._next_slot = 0
        self._ready: deque[AudioPacket] = deque()
        self._encoder: SoundEncoder | None = None
        self._buffer = np.zeros((AUDIO_CHANNELS, 0), np.float32)
        self._buffer_slot = 0
        self._quiet_from = 0
        history_ticks = (
            -(-(PRIMING_SLOTS + ENCODER_LAG_SLOTS) * AAC_FRAME_SAMPLES // samples_per_tick) + 1
        )
        self._spoken: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=history_ticks)
        self.live_packets = 0

    @property
    def live(self) -> bool:
        """True while an encoder is open."""
        return self._encoder is not None

    @property
    def config(self) -> bytes:
        """The AudioSpecificConfig of the line."""
        return SoundEncoder(self._fmt).config

    @property
    def cached(self) -> bool:
        """True while idle sound comes from its table and nothing is encoded."""
        return self._encoder is None and self.idle.packets is not None

    def feed_idle(self) -> None:
        """The next tick's sound is the idle sound, unchanged."""
        if self.idle.packets is None:
            self.feed(self.idle.pcm(self._fed, self._per_tick))
            return
        if self._encoder is None:
            self._fed += self._per_tick
            self._emit_cached()
            return
        pcm = self.idle.pcm(self._fed, self._per_tick)
        self._fed += self._per_tick
        self._encode(pcm)
        last_live_slot = -(-self._quiet_from // AAC_FRAME_SAMPLES)
        if self._next_slot > last_live_slot:
            self._encoder = None
            self._emit_cached()

    def feed(self, pcm: NDArray[np.float32]) -> None:
        """The next tick's sound is ``pcm``: float32 of shape (2, samples per tick)."""
        if pcm.shape != (AUDIO_CHANNELS, self._per_tick):
            raise ValueError(f"a tick's sound has shape {pcm.shape}")
        if self._encoder is None:
            self._open()
        self._spoken.append((self._fed, pcm))
        self._fed += self._per_tick
        self._quiet_from = self._fed
        self._encode(pcm)

    def take(self, before_sample: int) -> tuple[AudioPacket, ...]:
        """The packets, not taken yet, whose first sample lies before ``before_sample``."""
        taken = []
        while self._ready and self._ready[0].slot * AAC_FRAME_SAMPLES < before_sample:
            taken.append(self._ready.popleft())
        return tuple(taken)

    def _open(self) -> None:
        self._encoder = SoundEncoder(self._fmt)
        slot = self._next_slot - PRIMING_SLOTS
        heard = self._on_air(slot * AAC_FRAME_SAMPLES)
        for _ in range(PRIMING_SLOTS):
            self._encoder.encode(np.ascontiguousarray(heard[:, :AAC_FRAME_SAMPLES]), slot)
            heard, slot = heard[:, AAC_FRAME_SAMPLES:], slot + 1
        self._buffer, self._buffer_slot = heard, slot

    def _on_air(self, first_sample: int) -> NDArray[np.float32]:
        """What was fed from ``first_sample`` on: idle, and what was spoken shortly before."""
        sound = self.idle.pcm(first_sample, self._fed - first_sample)
        for start, pcm in self._spoken:
            at = start - first_sample
            if at > -self._per_tick:
                sound[:, max(at, 0) : at + self._per_tick] = pcm[:, max(-at, 0) :]
        return sound

    def _encode(self, pcm: NDArray[np.float32]) -> None:
        assert self._encoder is not None
        self._buffer = np.concatenate([self._buffer, pcm], axis=1)
        while self._buffer.shape[1] >= AAC_FRAME_SAMPLES:
            block = self._buffer[:, :AAC_FRAME_SAMPLES]
            for packet in self._encoder.encode(block, self._buffer_slot):
                if packet.slot >= self._next_slot:
                    self._ready.append(packet)
                    self._next_slot = packet.slot + 1
                    self.live_packets += 1
            self._buffer = self._buffer[:, AAC_FRAME_SAMPLES:]
            self._buffer_slot += 1

    def _emit_cached(self) -> None:
        packets = self.idle.packets
        assert packets is not None
        while (self._next_slot + ENCODER_LAG_SLOTS) * AAC_FRAME_SAMPLES <= self._fed:
            self._ready.append(
                AudioPacket(self._next_slot, packets[self._next_slot % len(packets)])
            )
            self._next_slot += 1
