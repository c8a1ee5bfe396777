"""Which channels use an avatar: what the settings, the playout and the wishes say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broadcaster.settings.model import SettingsModel
from broadcaster.store.channel_avatars import ChannelAvatar, WishState


def named_by(settings: SettingsModel, name: str) -> list[str]:
    """The channels that the settings give this avatar."""
    return [each.name for each in settings.channels if each.presenter == name]


def shown_by(playout: Mapping[str, Any] | None, name: str) -> list[str]:
    """The channels that show this avatar, or are about to.

    Args:
        playout: its answer to ``status``; None where it does not answer.
        name: of the avatar.
    """
    found = []
    for each in (playout or {}).get("channels", []):
        told = each.get("avatar") or {}  # of ``playout.avatar_change``; None without an avatar
        shown = [(told.get(key) or {}).get("name") for key in ("on_air", "next")]
        if name in shown:
            found.append(str(each.get("name")))
    return found


def wished_on(
    settings: SettingsModel, records: Mapping[str, ChannelAvatar], name: str
) -> list[str]:
    """The channels on which this avatar was wished, or was on air when last heard of.

    A wish that failed uses nothing: another avatar is on air. Records outlive their channels.
    """
    found = []
    for channel in settings.channels:
        record = records.get(channel.name, ChannelAvatar(channel.name))
        wished = record.wished if record.state is not WishState.FAILED else ""
        if channel.presenter and name in {wished, record.on_air}:
            found.append(channel.name)
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """One look at all three; without a playout or records what is left counts."""

    settings: SettingsModel
    playout: Mapping[str, Any] | None = None
    records: Mapping[str, ChannelAvatar] = field(default_factory=dict)

    def of(self, name: str) -> list[str]:
        """The channels that use an avatar."""
        return sorted({*named_by(self.settings, name), *self.unnamed(name)})

    def unnamed(self, name: str) -> list[str]:
        """Those among them which do so whatever the settings say."""
        wished = wished_on(self.settings, self.records, name)
        return sorted({*shown_by(self.playout, name), *wished})
