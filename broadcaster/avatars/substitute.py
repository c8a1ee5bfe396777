"""At start: channels whose avatar is not there get the default one, so that none stays dark."""

from __future__ import annotations

from collections.abc import Mapping

import idle_media
from broadcaster.avatars.found import BUNDLED_ENGINE
from broadcaster.avatars.shelf import find
from broadcaster.errors import AvatarError
from broadcaster.settings.model import Channel, SettingsModel


def with_avatars_that_exist(settings: SettingsModel) -> tuple[SettingsModel, Mapping[str, str]]:
    """Settings that name only avatars which the station has.

    Returns:
        The settings, and for every channel that was changed why, in words for an operator.
    """
    faults = {
        channel.name: fault
        for channel in settings.channels
        if (fault := avatar_fault(channel, settings))
    }
    told = {
        name: f"{fault}; {idle_media.DEFAULT} is shown instead" for name, fault in faults.items()
    }
    channels = tuple(
        each.model_copy(update={"avatar": idle_media.DEFAULT}) if each.name in faults else each
        for each in settings.channels
    )
    return settings.model_copy(update={"channels": channels}), told


def avatar_fault(channel: Channel, settings: SettingsModel) -> str:
    """Why a channel cannot show the avatar that the settings give it; empty when it can."""
    name = channel.presenter
    if not name:
        return ""
    try:
        found = find(name, settings.station.state_dir)
    except (AvatarError, OSError) as error:
        return f"the avatar {name}: {error}"
    if found.engine == BUNDLED_ENGINE:
        return ""
    from gpu_pool.engines.registry import ENGINES  # noqa: PLC0415 (numpy: 0.1 s of every start)

    if found.engine not in ENGINES:
        return f"the avatar {name} needs the engine {found.engine}, which this station has not"
    return ""
