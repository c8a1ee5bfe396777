"""The avatar of one channel's idle, and the one that it changes to.

Called by the tick loop. A change happens while no task is held or shown: a task is then never seen
with another avatar than the idle that it fades from and to. Must never wait: the avatar on air
stays until the loop of the next one is there.
"""

from __future__ import annotations

from broadcaster.idle.loop import EncodedLoop
from broadcaster.playout.task_queue import Emit
from broadcaster.wire import Message

NOT_YET = 1 << 62
"""The tick of a change that is decided, but not yet placed on the grid."""


class AvatarChange:
    """Told of wishes and of what was prepared; asked whether to change now.

    Avatars are messages as the studio sent them (``avatars.carried``). The states of a wish are
    ``preparing``, ``prepared``, ``on_air``, ``failed``; each is told as an event.

    Args:
        channel: name, for events.
        emit: takes events; must not block.
    """

    def __init__(self, channel: str, emit: Emit) -> None:
        self._channel, self._emit = channel, emit
        self.on_air: Message | None = None
        """What idle shows; None while it is no avatar."""
        self._decided: tuple[Message, int] | None = None
        self._wished: Message | None = None
        self._state, self._error = "", ""
        self._loop: EncodedLoop | None = None
        self._show = False

    # --- what the studio and the preparing child say -----------------------------------------

    def wish(self, avatar: Message) -> tuple[str, bool]:
        """Have an avatar on air; an earlier wish is forgotten.

        Returns:
            How far it is, and whether its loop is to be prepared now.
        """
        if avatar == self._shows:
            self._drop_wish()
            return "on_air", False
        fresh = avatar != self._wished or self._state == "failed"
        if fresh:
            self._wished, self._loop, self._show = avatar, None, False
            self._state, self._error = "preparing", ""
        return self._state, fresh

    def prepared(self, avatar: Message, loop: EncodedLoop | None) -> None:
        """Its loop is ready; without one idle shows something else than avatars."""
        if avatar == self._wished and self._state == "preparing":
            self._loop, self._state = loop, "prepared"
            self._tell(avatar, "prepared")

    def failed(self, avatar: Message, error: str) -> None:
        """It cannot be shown."""
        if avatar == self._wished:
            self._state, self._error, self._show = "failed", error, False
            self._tell(avatar, "failed", error)

    def show(self, avatar: Message) -> bool:
        """Change to it as soon as that can be done; False where it is not prepared."""
        if avatar != self._wished or self._state != "prepared":
            return avatar == self._shows
        self._show = True
        return True

    # --- what the tick loop asks --------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether to change as soon as no task is held."""
        return self._show

    @property
    def pending(self) -> bool:
        """Whether a change is decided, but not seen yet."""
        return self._decided is not None

    def take(self) -> tuple[Message, EncodedLoop | None]:
        """The avatar to change to; from now on no task is taken until ``decided``."""
        assert self._wished is not None
        taken = self._wished, self._loop
        self._decided = self._wished, NOT_YET
        self._drop_wish()
        return taken

    def decided(self, avatar: Message, at_tick: int) -> None:
        """Idle shows it from this tick on."""
        self._decided = avatar, at_tick
        if avatar == self._wished:
            self._drop_wish()

    def accepts(self, label: str) -> bool:
        """Whether a task may be taken whose pictures show the avatar of this label."""
        if self._decided is not None and self._decided[1] == NOT_YET:
            return False  # in a moment it is known when it may begin
        shows = self._shows
        return not label or shows is None or label == f"{shows['name']}.{shows['version']}"

    def after(self, tick: int) -> None:
        """``tick`` has been sent."""
        if self._decided is not None and tick >= self._decided[1]:
            avatar, self._decided = self._decided[0], None
            if avatar != self.on_air:
                self.on_air = avatar
                self._tell(avatar, "on_air")

    def report(self) -> Message:
        """For the status; called from another thread."""
        wished = self._wished
        return {
            "on_air": self.on_air,
            "next": wished,
            "state": self._state if wished is not None else "on_air",
            "error": self._error if wished is not None else "",
        }

    @property
    def _shows(self) -> Message | None:
        """Idle, from when on whatever is decided is seen."""
        return self._decided[0] if self._decided is not None else self.on_air

    def _drop_wish(self) -> None:
        self._wished, self._loop, self._show = None, None, False
        self._state, self._error = "", ""

    def _tell(self, avatar: Message, state: str, error: str = "") -> None:
        event = {"event": "avatar", "channel": self._channel, "avatar": avatar}
        self._emit({**event, "state": state, "error": error})
