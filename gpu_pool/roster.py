"""The avatars that a pool is to have, how each one stands, and who is to blame for a death.

Beside the dispatcher's queue. Pure: no worker, no clock. Must never let one avatar take the workers
from the others: one that ends them while it is prepared is given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gpu_pool.contracts import AvatarRef, AvatarStanding, AvatarState, EngineNeeds, EngineSpec

NOT_HERE = AvatarStanding(AvatarState.FAILED, "nobody asked for it")


@dataclass(slots=True)
class Listed:
    """An avatar that is wanted.

    ``serial`` tells it from an earlier one of its name, ``asked_at`` is when its wait began;
    ``ready_on`` are the slots whose present workers have it, ``refused_on`` those whose engine said
    no. ``needs`` is None until it was ready for the first time: from then on no death is blamed on
    it.
    """

    serial: int
    avatar: AvatarRef
    asked_at: float
    needs: EngineNeeds | None = None
    ready_on: set[int] = field(default_factory=set)
    refused_on: set[int] = field(default_factory=set)
    deaths: int = 0
    reason: str = ""
    given_up: bool = False

    @property
    def proven(self) -> bool:
        """Whether some worker has had it ready."""
        return self.needs is not None

    @property
    def hopeless(self) -> bool:
        """Whether no worker is to try it any more."""
        return self.given_up or (not self.proven and bool(self.refused_on))


class Roster:
    """All avatars by name.

    Args:
        deaths_at_most: see ``Limits.avatar_deaths_at_most``.
    """

    def __init__(self, deaths_at_most: int) -> None:
        self._deaths_at_most = deaths_at_most
        self._listed: dict[str, Listed] = {}
        self._next_serial = 0
        self.changed = False
        """Set whenever an avatar stands otherwise than before; reset by whoever tells of it."""

    def __contains__(self, name: str) -> bool:
        return name in self._listed

    def want(self, avatar: AvatarRef, now: float) -> None:
        """Have an avatar; one that has failed is tried again, any other stays as it is."""
        known = self._listed.get(avatar.name)
        if known is None or known.hopeless:
            self._listed[avatar.name] = Listed(self._next_serial, avatar, now)
            self._next_serial += 1
            self.changed = True

    def forget(self, name: str) -> set[int]:
        """Have an avatar no more; returns the slots whose workers hold it."""
        listed = self._listed.pop(name, None)
        return set() if listed is None else listed.ready_on

    def standing(self, name: str) -> AvatarStanding:
        """How an avatar stands."""
        listed = self._listed.get(name)
        if listed is None:
            return NOT_HERE
        if listed.ready_on:
            return AvatarStanding(AvatarState.READY)
        tried_out = listed.deaths >= self._deaths_at_most or listed.refused_on
        if listed.hopeless or tried_out:
            return AvatarStanding(AvatarState.FAILED, listed.reason)
        return AvatarStanding(AvatarState.PREPARING, listed.reason)

    def why_never(self, name: str) -> str:
        """Why nobody will ever render an avatar, or "" while somebody may."""
        listed = self._listed.get(name)
        if listed is None:
            return f"avatar {name} was forgotten"
        return f"avatar {name} has failed: {listed.reason}" if listed.hopeless else ""

    def needs(self, name: str) -> EngineNeeds | None:
        """What the engine of an avatar wants; None until the avatar was ready somewhere."""
        listed = self._listed.get(name)
        return None if listed is None else listed.needs

    def engine(self, name: str) -> EngineSpec | None:
        """What renders an avatar; None when nobody wants it."""
        listed = self._listed.get(name)
        return None if listed is None else listed.avatar.engine

    # --- who prepares what -------------------------------------------------------------------

    def for_start(self) -> list[Listed]:
        """What a fresh worker takes before any batch: proven ones first, none that is blamed."""
        hopeful = [each for each in self._listed.values() if not each.hopeless]
        blameless = [each for each in hopeful if not each.deaths]
        return sorted(blameless or hopeful, key=lambda each: not each.proven)

    def missing(self, slot: int, under_way: Iterable[int | None]) -> Listed | None:
        """What a worker that is free should prepare now.

        One that was never ready is tried by one worker at a time: it may be its end.

        Args:
            slot: the worker's.
            under_way: serials of what is being prepared.
        """
        busy = set(under_way)
        for listed in self._listed.values():
            here = slot in listed.ready_on or slot in listed.refused_on
            if not here and not listed.hopeless and (listed.proven or listed.serial not in busy):
                return listed
        return None

    # --- what happened -----------------------------------------------------------------------

    def ready(self, slot: int, serial: int, needs: EngineNeeds, now: float) -> bool:
        """A worker has an avatar ready; False when nobody wants it any more."""
        listed = self._find(serial)
        if listed is not None:
            listed.needs, listed.deaths, listed.reason = needs, 0, ""
            listed.asked_at = now
            listed.ready_on.add(slot)
            self.changed = True
        return listed is not None

    def refused(self, slot: int, serial: int, reason: str) -> None:
        """A worker's engine says that an avatar can never be ready."""
        listed = self._find(serial)
        if listed is not None:
            listed.reason = reason
            listed.refused_on.add(slot)
            self.changed = True

    def died(self, slot: int, serial: int | None, reason: str, now: float) -> str:
        """A worker has ended, perhaps while it prepared an avatar.

        The last avatar that is left is tried on and on: it may as well be the device.

        Returns:
            The name of the avatar that was given up for it, or "".
        """
        for each in self._listed.values():
            self.changed |= slot in each.ready_on
            each.ready_on.discard(slot)
            each.refused_on -= {slot} if each.proven else set()
        listed = None if serial is None else self._find(serial)
        if listed is None or listed.proven:
            return ""
        listed.deaths += 1
        listed.asked_at = now
        listed.reason = reason
        self.changed = True
        others = [
            each for each in self._listed.values() if not each.hopeless and each is not listed
        ]
        if listed.deaths < self._deaths_at_most or not others:
            return ""
        listed.given_up = True
        listed.reason = (
            f"it ended {listed.deaths} workers while it was prepared, the last: {reason}"
        )
        return listed.avatar.name

    def suspect_the_device(self) -> None:
        """A slot is parked: so many deaths speak against the device, and for those given up."""
        for listed in self._listed.values():
            listed.deaths, listed.given_up = 0, False

    def _find(self, serial: int) -> Listed | None:
        return next((listed for listed in self._listed.values() if listed.serial == serial), None)
