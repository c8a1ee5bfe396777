"""Who is seen in a film and who draws the pictures: the avatar, the workers, their ring.

Between the order and the pool. The only place of the render that knows what an avatar is made of
and how a pool is opened.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from broadcaster.avatars.pooled import avatar_ref, with_options
from broadcaster.avatars.shelf import find
from broadcaster.errors import RenderError
from broadcaster.idle.presenter import avatar_at
from broadcaster.mixer.blend import Picture
from broadcaster.render.order import RenderOrder
from broadcaster.settings.model import Pool as PoolSettings
from broadcaster.settings.model import SettingsModel
from gpu_pool.contracts import AvatarRef, PictureFormat, PoolError
from gpu_pool.devices import find_devices
from gpu_pool.limits import Limits
from gpu_pool.pool import Pool
from gpu_pool.ring import MEMORY, Ring

RING_S = 3.0
"""Pictures between workers and encoder, as on air: a worker is never kept waiting by one picture
that takes longer to encode."""

PATIENT = Limits(load_s=1800.0, prepare_s=1800.0, first_batch_s=1800.0)
"""Nobody waits on air: a large network on a CPU takes minutes to begin with."""

MEMORY_SHARE = 0.6
"""Of what is free in shared memory, at most."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is seen.

    Attributes:
        avatar: for the pool.
        idle: what the idle loop shows at a tick, I420.
    """

    avatar: AvatarRef
    idle: Callable[[int], Picture]


def find_cast(order: RenderOrder, settings: SettingsModel) -> Cast:
    """The avatar of a film at its size, drawn by the engine that is wished or by its own.

    Raises:
        AvatarNotFound: nobody is called so.
        MediaError: the avatar cannot be read.
    """
    found, video = find(order.channel.avatar, settings.station.state_dir), order.fmt.video
    avatar = avatar_ref(found, PictureFormat(video.width, video.height, video.fps))
    if order.engine is not None:
        avatar = replace(avatar, engine=order.engine)
    if not avatar.engine.options:
        avatar = with_options(avatar, settings.pool.engines)
    return Cast(avatar, avatar_at(found, video))


@contextlib.contextmanager
def open_pool(avatar: AvatarRef, settings: PoolSettings) -> Iterator[tuple[Pool, Ring]]:
    """Workers for one avatar, and where their pictures go; both end with the context.

    Raises:
        RenderError: there is no such device, or no memory for the pictures.
    """
    wanted = settings.devices
    limit = min(settings.ring_mb << 20, int(MEMORY_SHARE * shutil.disk_usage(MEMORY).free))
    slots = min(int(RING_S * avatar.picture.fps), limit // avatar.picture.picture_bytes)
    with contextlib.ExitStack() as stack:
        try:
            devices = find_devices(wanted if wanted == "auto" else list(wanted), os.environ)
            ring = Ring(slots, avatar.picture.picture_bytes)
            stack.callback(ring.close)
            pool = stack.enter_context(Pool([avatar], devices, ring, limits=PATIENT))
        except (PoolError, ValueError, OSError) as error:
            raise RenderError(f"nothing can be rendered: {error}") from error
        yield pool, ring
