"""Who speaks on which channel, and how many pictures are kept ready for them.

Beside the stage, which opens the ring that is sized here. Values only, but for a look at how much
shared memory is free.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from broadcaster.avatars.found import FoundAvatar
from broadcaster.avatars.pooled import avatar_ref
from broadcaster.settings.model import SettingsModel
from gpu_pool.contracts import AvatarRef, PictureFormat
from gpu_pool.ring import MEMORY

RING_S = 6.0
"""Pictures per channel: four seconds for the task on air, half of that for the next. A studio that
is killed is rendering again after 1.2 s, on a busy machine after 3: nobody is to see that."""

MEMORY_SHARE = 0.6
"""Of what is free in shared memory, at most."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """Who speaks on a channel, and in which format."""

    shown: FoundAvatar
    avatar: AvatarRef
    sample_rate: int


def backdrops(settings: SettingsModel, cast: Mapping[str, FoundAvatar]) -> dict[str, Backdrop]:
    """The channels that have a presenter, and who it is."""
    found = {}
    for channel in settings.channels:
        shown = cast.get(channel.name)
        if shown is not None:
            video = channel.video
            avatar = avatar_ref(shown, PictureFormat(video.width, video.height, video.fps))
            found[channel.name] = Backdrop(shown, avatar, channel.audio.sample_rate)
    return found


def ring_slots(channels: dict[str, Backdrop], most_mb: int) -> tuple[int, int]:
    """How many pictures of how many bytes the ring holds; ``most_mb`` is the setting's."""
    limit_bytes = min(most_mb << 20, int(MEMORY_SHARE * shutil.disk_usage(MEMORY).free))
    formats = [each.avatar.picture for each in channels.values()]
    largest = max(each.picture_bytes for each in formats)
    wanted = sum(int(RING_S * each.fps) for each in formats)
    return min(wanted, limit_bytes // largest), largest
