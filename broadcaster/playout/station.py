"""Puts the playout together from the settings: channels, destinations, control, tick loop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from broadcaster.avatars.carried import as_message, from_message
from broadcaster.clock import MonotonicClock
from broadcaster.codec.probe import hardware_note
from broadcaster.codec.x264 import parameter_sets_of
from broadcaster.errors import BroadcasterError
from broadcaster.formats import EncodeFormat
from broadcaster.heartbeat import HeartbeatWriter
from broadcaster.idle.cache import LoopCache
from broadcaster.idle.loop import EncodedLoop, load_loop
from broadcaster.idle.slate import cached_slate, make_slate
from broadcaster.paths import StatePaths
from broadcaster.playout.channel import ChannelAir, Sink
from broadcaster.playout.control import ControlServer
from broadcaster.playout.loop import TickLoop
from broadcaster.playout.preparer import Preparer
from broadcaster.playout.task_door import PlayOrder
from broadcaster.push.destination import Destination
from broadcaster.relay.config import channel_url
from broadcaster.settings.model import Channel, SettingsModel
from broadcaster.settings.platforms import EncodePlan, load_platforms, plan_encode
from broadcaster.wire import Message
from gpu_pool.contracts import PictureRef, RingError
from gpu_pool.ring import RingReader

log = logging.getLogger(__name__)


class Station:
    """Everything inside the playout process.

    Args:
        settings: of this run.
        settings_file: the same as a file, for the child that prepares idle media.
    """

    def __init__(self, settings: SettingsModel, settings_file: Path) -> None:
        self._settings = settings
        self._clock = MonotonicClock()
        paths = StatePaths(settings.station.state_dir)
        self._control = ControlServer(paths.playout_socket, self.answer)
        self._encoder_note = hardware_note(settings.playout.video_encoder)
        if self._encoder_note:
            log.warning(self._encoder_note)
        self._channels = [self._make_channel(channel) for channel in settings.channels]
        self._mapped: tuple[str, RingReader] | None = None
        self._heartbeat = HeartbeatWriter(paths.heartbeat)
        self._preparer = Preparer(self._channels, settings_file, self._clock)
        self.loop = TickLoop(
            self._channels, self._clock, self._heartbeat, settings.playout.reanchor_after_s
        )

    def run(self) -> None:
        """On air until ``loop.stop`` is called."""
        for channel in self._channels:
            for destination in channel.destinations:
                destination.start()
        self._control.start()
        self._preparer.start()
        try:
            self.loop.run()
        finally:
            self._preparer.stop()
            for channel in self._channels:
                channel.close(self._settings.supervisor.stop_after_s / 2)
            self._control.stop()
            self._heartbeat.close()

    def answer(self, request: Message) -> Message:
        """The answer to one control request."""
        op = request.get("op")
        if op == "status":
            return self._status()
        channel = next((c for c in self._channels if c.name == request.get("channel")), None)
        if channel is None:
            return {"ok": False, "error": "no such channel"}
        if op == "play":
            return self._play(channel, request)
        if op == "reserve":
            return channel.reserve(str(request["task_id"]), int(request["lead_ticks"]))
        if op == "pictures":
            refs = request.get("refs")
            known = None if refs is None else [PictureRef(int(s), int(g)) for s, g in refs]
            count = len(refs) if refs is not None else int(request["count"])
            channel.announce(str(request["task_id"]), int(request["first"]), known, count)
            return {"ok": True}
        return self._other(channel, request)

    def _other(self, channel: ChannelAir, request: Message) -> Message:
        if request["op"] == "interrupt":
            return {"ok": True, "task_id": channel.interrupt(request.get("task_id"))}
        if request["op"] == "withdraw":
            return {"ok": channel.withdraw(str(request["task_id"]))}
        if request["op"] == "avatar":
            return self._wish_avatar(channel, request["avatar"])
        if request["op"] == "show_avatar":
            return {"ok": channel.show_avatar(request["avatar"])}
        return {"ok": False, "error": f"unknown op {request['op']!r}"}

    def _wish_avatar(self, channel: ChannelAir, avatar: Message) -> Message:
        """How far a channel's next avatar is; the first time it is asked for it is prepared."""
        known = as_message(from_message(avatar))
        state, fresh = channel.wish_avatar(known)
        if fresh:
            self._preparer.wish(channel, known)
        return {"ok": bool(state), "state": state}

    def _play(self, channel: ChannelAir, request: Message) -> Message:
        order = PlayOrder(
            str(request["task_id"]),
            Path(request["pcm"]),
            int(request["samples"]),
            int(request.get("from_sample", 0)),
            int(request.get("lead_ticks", 0)),
            int(request.get("preroll_ticks", 0)),
            str(request.get("avatar", "")),
            bool(request.get("held_only", False)),
        )
        try:
            ring = self._ring(request["ring"]) if request.get("ring") else None
        except RingError as error:
            return {"ok": False, "error": f"no ring: {error}"}
        return channel.play(order, ring)

    def _ring(self, path: str) -> RingReader:
        """The studio's ring; an earlier one stays mapped for as long as a task looks into it."""
        if self._mapped is None or self._mapped[0] != path:
            self._mapped = (path, RingReader(Path(path)))
        return self._mapped[1]

    def _status(self) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "ok": True,
            "ticks": self.loop.passes,
            "late_ms": round(self.loop.late_s * 1000, 2),
            "skipped_s": round(self.loop.skipped_s, 3),
            "channels": [channel.report(now) for channel in self._channels],
        }

    def _make_channel(self, channel: Channel) -> ChannelAir:
        plan = plan_encode(channel, load_platforms())
        for note in plan.notes:
            log.warning("channel %s: %s", channel.name, note)
        playout = self._settings.playout
        air = ChannelAir(
            channel.name,
            plan.format,
            self._first_loop(channel, plan.format),
            fade_ticks=round(playout.fade_ms * plan.format.video.fps / 1000),
            ahead_ms=playout.audio_ahead_ms,
            allow_splice=playout.idle_path == "auto",
            emit=self._control.publish,
        )
        air.encoder_note = self._encoder_note
        air.destinations = self._make_destinations(channel, plan, air)
        return air

    def _first_loop(self, channel: Channel, fmt: EncodeFormat) -> EncodedLoop:
        """The slate: made in a quarter of a second, or found in the cache."""
        cache = LoopCache(StatePaths(self._settings.station.state_dir).cache, fmt)
        names = (self._settings.station.name, channel.name)
        try:
            loop = load_loop(cached_slate(cache, fmt, *names), fmt)
        except (BroadcasterError, OSError) as error:
            log.warning("the slate cannot be cached (%s): it is kept in memory", error)
            return make_slate(fmt, *names)
        return loop if loop.parameter_sets == parameter_sets_of(fmt) else make_slate(fmt, *names)

    def _make_destinations(self, channel: Channel, plan: EncodePlan, air: ChannelAir) -> list[Sink]:
        places = [(d.name, d.url.get_secret_value()) for d in channel.destinations]
        local = channel_url(self._settings.relay, channel.name)
        if local:
            places.insert(0, ("relay", local))
        return [
            Destination(
                name=name,
                channel=channel.name,
                url=url,
                fmt=plan.format,
                headers=air.headers,
                push=self._settings.push,
                session_cap_s=plan.session_cap_s.get(name),
                clock=self._clock,
            )
            for name, url in places
        ]
