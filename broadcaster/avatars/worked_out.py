"""``broadcaster avatar prepare``: what a neural engine sees in an avatar, worked out ahead of time.

Beside the signal path, at low priority, in the process of whoever asks. It may be killed and begun
again: pictures that are done stay done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from broadcaster.avatars.found import FoundAvatar
from broadcaster.avatars.neural import NEURAL, engine_fault
from broadcaster.avatars.pooled import avatar_ref, with_options
from broadcaster.errors import AvatarError
from broadcaster.settings.model import SettingsModel
from gpu_pool.contracts import AvatarRef, PictureFormat, PoolError
from gpu_pool.devices import find_devices

Progress = Callable[[float, str], bool]

_NICE = 10


def work_out(
    avatar: FoundAvatar, settings: SettingsModel, progress: Progress
) -> Iterator[tuple[PictureFormat, int, int]]:
    """Work an avatar out at the format of every channel.

    Yields:
        A format that is done, how many pictures it has, and how many were done before.

    Raises:
        AvatarError: there is nothing to work out, or its engine cannot draw here.
    """
    from gpu_pool.preparation import work_out as look  # noqa: PLC0415 (slow)

    if avatar.engine not in NEURAL:
        raise AvatarError(f"the engine {avatar.engine} has nothing to work out beforehand")
    fault, remedy = engine_fault(avatar.engine, settings)
    if fault:
        raise AvatarError(f"the engine {avatar.engine} cannot draw here: {fault}. {remedy}")
    os.nice(_NICE)
    try:
        device = _device(settings)
        for each in _wanted(avatar, settings):
            told = (0, 0, 0)
            for told in look(each, device):
                progress(told[0] / max(1, told[1]), f"looking at picture {told[0]}")
            yield each.picture, *told[1:]
    except PoolError as error:
        raise AvatarError(str(error)) from error


def _wanted(avatar: FoundAvatar, settings: SettingsModel) -> list[AvatarRef]:
    videos = [channel.video for channel in settings.channels]
    formats = dict.fromkeys(PictureFormat(each.width, each.height, each.fps) for each in videos)
    return [with_options(avatar_ref(avatar, each), settings.pool.engines) for each in formats]


def _device(settings: SettingsModel) -> str:
    wanted = settings.pool.devices
    return find_devices(wanted if wanted == "auto" else list(wanted), os.environ)[0]
