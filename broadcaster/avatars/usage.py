"""Which channels show an avatar: what the settings say, and what the playout says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from broadcaster.settings.model import SettingsModel


def named_by(settings: SettingsModel, name: str) -> list[str]:
    """The channels that the settings give this avatar."""
    return [each.name for each in settings.channels if each.presenter == name]


def shown_by(playout: Mapping[str, Any] | None, name: str) -> list[str]:
    """The channels that show this avatar, or are about to.

    Args:
        playout: its answer to ``status``; None where it does not answer.
        name: of the avatar.
    """
    channels = (playout or {}).get("channels", [])
    return [str(each.get("name")) for each in channels if name in set(_words(each.get("avatar")))]


def _words(told: Any) -> Iterator[str]:  # noqa: ANN401
    """The names in what is told of a channel's avatar: one word, or objects with names in them."""
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict):
        for key in ("name", "on_air", "next", "wished"):
            yield from _words(told.get(key))
