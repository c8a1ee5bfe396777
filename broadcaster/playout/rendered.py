"""The rendered pictures of one task, as the studio announces them: references into its ring.

Between the studio's workers and the mixer. All calls come from the tick loop. Nothing is copied: a
picture is read where its worker wrote it, and given back once a later one is on air. Must never
wait: a picture that is not announced is simply not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from broadcaster.formats import VideoFormat
from broadcaster.mixer.blend import Picture
from gpu_pool.contracts import PictureFormat, PictureRef
from gpu_pool.ring import RingReader

RELEASE_AT = 5
"""Pictures given back at once: five messages a second at 25 fps, 7 MB of ring at 720p."""

Release = Callable[[RingReader | None, Sequence[PictureRef]], None]

_Held = tuple[RingReader, PictureRef]


class RenderedPictures:
    """Pictures by index; an index may also be announced as lost, then idle is shown for it.

    Args:
        ring: where the references point to.
        video: size of the pictures.
        release: takes references that are not needed any more, and their ring; must not block.
    """

    def __init__(self, ring: RingReader, video: VideoFormat, release: Release) -> None:
        self._ring, self._release = ring, release
        self._format = PictureFormat(video.width, video.height, video.fps)
        self._refs: dict[int, _Held | None] = {}
        self._given_back: list[PictureRef] = []
        self._last: Picture | None = None
        self._oldest = 0

    def move_to(self, ring: RingReader) -> None:
        """Further references point into another ring: that of a studio that came back.

        Into the same ring: its studio had lost sight of this playout and has taken back all that
        was announced. Others are being written there, so nothing of it may be shown any more.
        """
        if ring is self._ring:
            taken_back = [i for i, held in self._refs.items() if held and held[0] is ring]
            first = min(taken_back, default=self.announced)
            self._refs = {i: held for i, held in self._refs.items() if i < first}
            self._last = None if self._last is None else self._last.copy()
        self._ring, self._given_back = ring, []

    def forget(self) -> None:
        """Give back what was announced: it will be drawn again. Only before any of it was shown."""
        held, self._refs = list(self._refs.values()), {}
        self._give_back(held, at_once=True)

    def announce(self, first: int, refs: Sequence[PictureRef] | None, count: int) -> None:
        """Pictures ``first`` to ``first + count - 1`` are in the ring, or (None) will never be.

        One that is late (its index was on air already) or there already goes straight back.
        """
        for offset in range(count):
            index, ref = first + offset, refs[offset] if refs is not None else None
            known = self._refs.get(index)
            if index < self._oldest or (index in self._refs and (known is not None or ref is None)):
                self._give_back([(self._ring, ref)] if ref is not None else [])
            else:
                self._refs[index] = (self._ring, ref) if ref is not None else None

    @property
    def announced(self) -> int:
        """The first index of which nothing is known yet."""
        return max([self._oldest, *(index + 1 for index in self._refs)])

    def ready_from(self, index: int) -> int:
        """How many are announced without a hole from ``index`` on."""
        count = 0
        while index + count in self._refs:
            count += 1
        return count

    def idle_from(self, index: int) -> int | None:
        """The first index from ``index`` on that is known to be lost; None when there is none."""
        return min((i for i, ref in self._refs.items() if ref is None and i >= index), default=None)

    def picture(self, index: int, idle: Picture) -> Picture:
        """The picture of ``index``; the one before it goes on where it is not there (yet)."""
        if index in self._refs:
            self._last = self._look(index)
            self._forget_before(index)
        return idle if self._last is None else self._last

    def close(self) -> None:
        """Give everything back."""
        self._last = None
        held, self._refs = list(self._refs.values()), {}
        self._give_back(held, at_once=True)

    def _look(self, index: int) -> Picture | None:
        held = self._refs.get(index)
        return None if held is None else held[0].picture(held[1], self._format)

    def _forget_before(self, index: int) -> None:
        """The picture on air stays: it is shown again for as long as the next one is not there."""
        old = [i for i in self._refs if i < index]
        self._oldest = max(self._oldest, index)
        self._give_back([self._refs.pop(i) for i in old])

    def _give_back(self, held: Iterable[_Held | None], at_once: bool = False) -> None:
        # What points into an earlier ring went with its owner: here it would name other pictures.
        self._given_back += [each[1] for each in held if each and each[0] is self._ring]
        if self._given_back and (at_once or len(self._given_back) >= RELEASE_AT):
            given, self._given_back = self._given_back, []
            self._release(self._ring, given)
