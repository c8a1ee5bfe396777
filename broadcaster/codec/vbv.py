"""The leaky bucket of what was really sent (rule 6 of encoded-domain switching).

A platform's decoder buffer does not know that one encoder ended and another began; the bucket
runs on over idle and live packets alike, and a new live encoder is opened at its fill.
"""

from __future__ import annotations


class LeakyBucket:
    """Decoder buffer of one second at the capped rate.

    Args:
        rate_bps: the cap; also the size of the bucket in bits (bufsize = maxrate).
        fps: pictures per second.
    """

    def __init__(self, rate_bps: int, fps: int) -> None:
        self._size_bits = float(rate_bps)
        self._refill_bits = rate_bps / fps
        self._fill_bits = self._size_bits
        self.underflows = 0
        self.lowest = 1.0

    def spend(self, packet_bytes: int) -> None:
        """Take one picture out, then let one tick's worth of bits in."""
        level = self._fill_bits - packet_bytes * 8
        if level < 0:
            self.underflows += 1
        self.lowest = min(self.lowest, level / self._size_bits)
        self._fill_bits = min(self._size_bits, level + self._refill_bits)

    @property
    def fill(self) -> float:
        """Fill as a fraction, inside what x264 accepts as a sane start (0.05 to 0.9)."""
        return min(0.9, max(0.05, self._fill_bits / self._size_bits))
