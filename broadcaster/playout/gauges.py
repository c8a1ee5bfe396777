"""The metrics of one channel, with their label children looked up once.

Beside the tick: told once per GOP, because between ticks the processor's caches go cold and every
number told costs ten times what it should.
"""

from __future__ import annotations

from collections.abc import Iterable

from broadcaster import metrics

SOURCES = ("idle", "task", "slate")


class ChannelGauges:
    """Counters and gauges labelled with the channel; counters are there from the start, at 0."""

    def __init__(self, channel: str) -> None:
        self._ticks = metrics.TICKS.labels(channel)
        self._skew = metrics.AV_SKEW.labels(channel)
        self._underruns = metrics.UNDERRUNS.labels(channel)
        self._late_pictures = metrics.LATE_PICTURES.labels(channel)
        self._encode_s = metrics.ENCODE_SECONDS.labels(channel)
        self._sources = {s: metrics.MIXER_SOURCE.labels(channel, s) for s in SOURCES}
        self._told = (0, 0, 0)

    def tell(
        self, source: str, skew_s: float, counts: tuple[int, int, int], encode_s: Iterable[float]
    ) -> None:
        """Publish the present state.

        Args:
            source: what is on air, one of ``SOURCES``.
            skew_s: sound mixed minus pictures sent.
            counts: ticks, underruns and late pictures so far.
            encode_s: the time that each picture encoded since the last call took.
        """
        for name, gauge in self._sources.items():
            gauge.set(1 if name == source else 0)
        self._skew.set(skew_s)
        counters = (self._ticks, self._underruns, self._late_pictures)
        for counter, now, told in zip(counters, counts, self._told, strict=True):
            if now > told:
                counter.inc(now - told)
        self._told = counts
        for seconds in encode_s:
            self._encode_s.observe(seconds)
