"""Who is on air on each channel, who is wished there, and the change from one to the other.

Beside the studio's loop, called by its thread. A change goes like this: the workers prepare the
avatar, the playout prepares its idle loop, both beside what is on air; when both have it the
playout is told to show it, and no further task is handed over until it does. So tasks end with the
avatar that they began with. What fails leaves the old avatar on air and says why.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import idle_media
from broadcaster import metrics
from broadcaster.avatars.carried import as_message, from_message
from broadcaster.avatars.found import FoundAvatar
from broadcaster.avatars.shelf import find
from broadcaster.condition import Condition
from broadcaster.errors import AvatarError, StoreError
from broadcaster.settings.model import SettingsModel
from broadcaster.store import ChannelAvatar, ChannelAvatars, WishState
from broadcaster.studio.playout_link import Event
from broadcaster.studio.wardrobe import Wardrobe
from broadcaster.wire import Message
from gpu_pool.contracts import AvatarState

Ask = Callable[[Message], Message | None]
"""Asks the playout; None when it does not answer."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Cast:
    """One channel.

    ``default`` is the avatar of the settings, ``number`` that of the wish which is carried out,
    ``on_air`` what the playout shows (at first: should show). ``there`` is how far the playout says
    it is, ``showing`` whether it was told to change.
    """

    channel: str
    default: str
    on_air: FoundAvatar
    condition: Condition
    number: int = -1
    wished: FoundAvatar | None = None
    state: WishState = WishState.PREPARING
    error: str = ""
    there: str = ""
    showing: bool = False
    written: ChannelAvatar | None = None

    def record(self) -> ChannelAvatar:
        """What the store should say."""
        return ChannelAvatar(
            self.channel,
            number=max(0, self.number),
            on_air=self.on_air.name,
            state=self.state,
            error=self.error,
        )


def first_cast(settings: SettingsModel, avatars: ChannelAvatars) -> dict[str, FoundAvatar]:
    """Whom the channels with a presenter should show when nobody has said yet."""
    cast, records, state_dir = {}, dict[str, ChannelAvatar](), settings.station.state_dir
    with contextlib.suppress(StoreError):  # it is looked at again
        records = avatars.all()
    for channel in settings.channels:
        if channel.presenter:
            record = records.get(channel.name, ChannelAvatar(channel.name))
            wished = (record.on_air, record.wished) if record.wished else ()
            for name in (*wished, channel.presenter, idle_media.DEFAULT):
                with contextlib.suppress(AvatarError):
                    cast[channel.name] = find(name, state_dir)
                    break
    return cast


class Casting:
    """All channels that have a presenter.

    Args:
        settings: of this run.
        cast: as ``first_cast`` gave it.
        avatars: the wishes, and where what became of them is written.
        wardrobe: the workers' side.
        ask: the playout's side.
        now: monotonic seconds.
    """

    def __init__(
        self,
        settings: SettingsModel,
        cast: dict[str, FoundAvatar],
        avatars: ChannelAvatars,
        wardrobe: Wardrobe,
        ask: Ask,
        now: Callable[[], float],
    ) -> None:
        self._state_dir = settings.station.state_dir
        self._avatars, self._wardrobe, self._ask, self._now = avatars, wardrobe, ask, now
        defaults = {channel.name: channel.presenter for channel in settings.channels}
        self._casts = {
            name: Cast(name, defaults[name], avatar, Condition(f"avatar/{name}", "", "", now()))
            for name, avatar in cast.items()
        }

    def may_send(self, channel: str) -> bool:
        """Whether a task may be handed over: not while the avatar changes."""
        cast = self._casts.get(channel)
        return cast is None or not cast.showing

    def conditions(self) -> list[Condition]:
        """For ``/status``."""
        return [cast.condition for cast in self._casts.values()]

    # --- what happened -----------------------------------------------------------------------

    def look(self) -> None:
        """Read the wishes; a new one begins.

        Raises:
            StoreError: the store cannot be read.
        """
        records = self._avatars.all()
        for cast in self._casts.values():
            record = records.get(cast.channel, ChannelAvatar(cast.channel))
            if record.number != cast.number:
                cast.number = record.number
                self._wish(cast, record.wished or cast.default)

    def on_connected(self, status: Message) -> None:
        """A playout answers: see whom it shows, and tell it whom it is to show."""
        told = {each.get("name"): each.get("avatar") or {} for each in status.get("channels", [])}
        for cast in self._casts.values():
            shown = told.get(cast.channel, {}).get("on_air")
            cast.there, cast.showing = "", False
            if shown is not None:
                self._shows(cast, shown)
            self._tell_wish(cast)

    def on_event(self, event: Event) -> None:
        """The playout tells how far an avatar is."""
        cast = self._casts.get(event.channel)
        if cast is None or event.avatar is None:
            return
        if event.state == "on_air":
            self._shows(cast, event.avatar)
        if cast.wished is None or event.avatar != as_message(cast.wished):
            return
        cast.there = event.state
        if event.state == "failed":
            self._fail(cast, f"its idle loop: {event.error}")

    def bring_forward(self) -> None:
        """Ask for what can be asked for now; write down what has changed."""
        for cast in self._casts.values():
            if cast.state is WishState.PREPARING and cast.wished is not None:
                self._advance(cast, cast.wished)
            self._write(cast)

    # --- one channel -------------------------------------------------------------------------

    def _wish(self, cast: Cast, name: str) -> None:
        cast.there, cast.showing, cast.error, cast.wished = "", False, "", None
        cast.state = WishState.PREPARING
        try:
            cast.wished = find(name, self._state_dir)
        except AvatarError as error:
            self._fail(cast, str(error))
            return
        self._wardrobe.prepare(cast.channel, cast.wished)
        self._tell_wish(cast)

    def _tell_wish(self, cast: Cast) -> None:
        """The playout prepares what is wished, or forgets about it."""
        avatar = cast.on_air if cast.wished is None else cast.wished
        if cast.state is WishState.FAILED:
            avatar = cast.on_air
        carried = as_message(avatar)
        answer = self._ask({"op": "avatar", "channel": cast.channel, "avatar": carried}) or {}
        if cast.state is WishState.PREPARING:
            cast.there = str(answer.get("state") or "")
            if cast.there == "on_air":
                self._shows(cast, carried)

    def _advance(self, cast: Cast, wished: FoundAvatar) -> None:
        standing = self._wardrobe.standing(cast.channel, wished)
        if standing.state is AvatarState.FAILED:
            self._fail(cast, f"the workers: {standing.reason}")
        elif standing.state is AvatarState.READY and cast.there == "prepared" and not cast.showing:
            show = {"op": "show_avatar", "channel": cast.channel, "avatar": as_message(wished)}
            cast.showing = bool((self._ask(show) or {}).get("ok"))
            if not cast.showing:  # it knows nothing of it any more
                self._tell_wish(cast)

    def _shows(self, cast: Cast, message: Message) -> None:
        """The playout shows an avatar: from now on tasks are rendered with it."""
        with contextlib.suppress(LookupError):
            shown = from_message(message)
            if shown.name != cast.on_air.name:
                _log.info("channel %s shows %s", cast.channel, shown.name)
                metrics.AVATAR_ON_AIR.labels(cast.channel, cast.on_air.name).set(0)
            cast.on_air = shown
            self._wardrobe.cast(cast.channel, shown)
        metrics.AVATAR_ON_AIR.labels(cast.channel, cast.on_air.name).set(1)
        if cast.on_air == cast.wished:
            cast.state, cast.error, cast.showing = WishState.SAME, "", False

    def _fail(self, cast: Cast, error: str) -> None:
        """The old avatar stays."""
        _log.error("channel %s keeps %s: %s", cast.channel, cast.on_air.name, error)
        cast.state, cast.error, cast.showing = WishState.FAILED, error, False
        self._wardrobe.give_up(cast.channel)
        self._tell_wish(cast)

    def _write(self, cast: Cast) -> None:
        cast.condition = cast.condition.entered(cast.state, self._now(), cast.error)
        record = cast.record()
        if record != cast.written:
            with contextlib.suppress(StoreError):
                self._avatars.became(record)
                cast.written = record
