"""Where the studio's tasks and their pictures come into a channel.

Called by the tick loop only, with what the control socket's thread was asked. Answers tell the
studio at which tick it may expect which picture on air, so that rendered bodies go on where the
idle loop is at that tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from broadcaster.formats import EncodeFormat
from broadcaster.mixer.source import TaskSource
from broadcaster.playout.rendered import RenderedPictures
from broadcaster.playout.spoken import SpokenSource
from broadcaster.playout.task_queue import Emit, Place, TaskQueue
from broadcaster.wire import Message
from gpu_pool.contracts import PictureRef
from gpu_pool.ring import RingReader


@dataclass(frozen=True, slots=True)
class PlayOrder:
    """A task as the studio hands it over.

    ``pcm`` is raw s16le stereo at the channel's rate, ``samples`` its length per channel,
    ``from_sample`` where to begin. Of rendered pictures the first is expected ``lead_ticks`` from
    now on, and ``preroll_ticks`` of them must be there for the task to begin; ``avatar`` is the
    label of whom they show. ``held_only``: the studio went away and knows that it is here; one
    that ended meanwhile is not taken anew.
    """

    task_id: str
    pcm: Path
    samples: int
    from_sample: int = 0
    lead_ticks: int = 0
    preroll_ticks: int = 0
    avatar: str = ""
    held_only: bool = False


class TaskDoor:
    """One channel's door.

    Args:
        channel: name, for events.
        fmt: the channel's format.
        fade_ticks: pictures that a task needs beyond its sound.
        tasks: where tasks go.
        emit: takes events; must not block.
        accepts: whether a task fits to the idle, by the label of its avatar.
    """

    def __init__(
        self,
        channel: str,
        fmt: EncodeFormat,
        fade_ticks: int,
        tasks: TaskQueue,
        emit: Emit,
        accepts: Callable[[str], bool],
    ) -> None:
        self._accepts = accepts
        self._channel, self._fmt, self._fade_ticks = channel, fmt, fade_ticks
        self._tasks, self._emit = tasks, emit

    def take(self, order: PlayOrder, ring: RingReader | None, first_free_tick: int) -> Message:
        """Take a task, or (held already) its pictures from another ring from now on.

        Returns:
            ``ok``, and with a ring where the next picture is expected: ``index`` at ``tick``, of
            how many ``pictures``, so many ``spoken``, the first at ``from_sample``; that is
            ``in_ticks`` from when it is decided, with ``preroll_ticks`` in hand. Or an ``error``.
        """
        held = self._tasks.source(order.task_id)
        if held is not None:
            return self._go_on(held, ring, first_free_tick)
        if order.held_only:
            return {"ok": False, "error": "gone"}
        if self._tasks.full or not self._accepts(order.avatar):
            return {"ok": False, "error": "busy"}
        rendered = None
        if ring is not None:
            give_back = partial(self._give_back, order.task_id)
            rendered = RenderedPictures(ring, self._fmt.video, give_back)
        source = SpokenSource(
            order.task_id, order.pcm, order.samples, order.from_sample, self._fmt, rendered
        )
        if rendered is None:
            self._tasks.add(source)
            return {"ok": True}
        from_tick = first_free_tick + order.lead_ticks
        place = self._tasks.add(source, from_tick, order.preroll_ticks)
        return self._expected(source, place, first_free_tick)

    def reserve(self, task_id: str, lead_ticks: int, first_free_tick: int) -> Message:
        """A task's pictures came too late for its tick: reserve another one, forget the pictures.

        Returns:
            As ``take``; an ``error`` where it has begun, or is not here.
        """
        held = self._tasks.source(task_id)
        if not isinstance(held, SpokenSource) or held.rendered is None:
            return {"ok": False, "error": "no such task"}
        place = self._tasks.reserve_again(held, first_free_tick + lead_ticks)
        if place is None:
            return {"ok": False, "error": "begun"}
        held.rendered.forget()
        return self._expected(held, place, first_free_tick)

    def announce(
        self, task_id: str, first: int, refs: Sequence[PictureRef] | None, count: int
    ) -> None:
        """Pictures are rendered, or lost without ``refs``; of unknown tasks they go back."""
        held = self._tasks.source(task_id)
        if isinstance(held, SpokenSource) and held.rendered is not None:
            held.rendered.announce(first, refs, count)
        elif refs:
            self._give_back(task_id, None, refs)

    def _go_on(self, held: TaskSource, ring: RingReader | None, first_free_tick: int) -> Message:
        """A studio that came back asks for a task that is here already."""
        if not isinstance(held, SpokenSource) or held.rendered is None:
            return {"ok": True}
        if ring is None:  # it cannot render: what is not there never comes
            ready = held.rendered.announced
            held.rendered.announce(ready, None, held.length_ticks + self._fade_ticks - ready)
            return {"ok": True}
        held.rendered.move_to(ring)
        ready = held.rendered.announced
        place = self._tasks.place_of(held, first_free_tick, ready)
        return self._expected(held, place, first_free_tick)

    def _expected(self, source: SpokenSource, place: Place, first_free_tick: int) -> Message:
        pictures = source.length_ticks + self._fade_ticks
        extent = {"spoken": source.length_ticks, "pictures": pictures}
        begins = {"tick": place.tick, "index": place.index, "from_sample": source.from_sample}
        begins["in_ticks"] = place.tick - first_free_tick
        return {"ok": True, **begins, **extent, "preroll_ticks": self._tasks.preroll(source)}

    def _give_back(self, task_id: str, ring: RingReader | None, refs: Sequence[PictureRef]) -> None:
        """Without a ring it is the one of whoever announced them just now."""
        pairs = [[ref.slot, ref.generation] for ref in refs]
        released = {"event": "released", "channel": self._channel, "task_id": task_id}
        self._emit({**released, "refs": pairs, "ring": "" if ring is None else str(ring.path)})
