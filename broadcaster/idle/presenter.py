"""An avatar as an idle programme: its loop of life without a word.

Only the child that prepares idle media comes here; playout never loads what draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from broadcaster.avatars.found import FoundAvatar
from broadcaster.errors import MediaError
from broadcaster.formats import EncodeFormat, VideoFormat
from broadcaster.idle.encode import Pictures
from broadcaster.mixer.blend import Picture
from gpu_pool.contracts import PictureFormat, PoolError
from gpu_pool.engines.bodies import Body, body_content, load_body

MAX_LOOP_S = 600
"""An encoded loop of 720p at 2500 kb/s takes 190 MB of disk then."""


def avatar_content(avatar: FoundAvatar) -> str:
    """A hash of everything that decides what the avatar looks like.

    Raises:
        MediaError: it cannot be read, or its engine has nothing to show without a word.
    """
    try:
        return body_content(avatar.engine, avatar.source)
    except (PoolError, ImportError, OSError) as error:
        raise MediaError(f"avatar {avatar.name}: {error}") from error


def avatar_at(avatar: FoundAvatar, video: VideoFormat) -> Callable[[int], Picture]:
    """What the avatar's loop shows at a tick, uncoded; every call draws it anew.

    Raises:
        MediaError: the avatar cannot be read.
    """
    body = _body(avatar, video)
    turn = body.loop_ticks(video.fps)
    return lambda tick: body.picture(tick % turn, video.fps)


def avatar_pictures(avatar: FoundAvatar, fmt: EncodeFormat, still: bool) -> Pictures:
    """The pictures of whole turns that make whole GOPs; ``still``: one GOP of the first one.

    Raises:
        MediaError: the avatar cannot be read, or its loop is too long.
    """
    video = fmt.video
    body = _body(avatar, video)
    turn = 1 if still else body.loop_ticks(video.fps)
    count = math.lcm(turn, fmt.gop_ticks)
    if not 0 < count <= MAX_LOOP_S * video.fps:
        raise MediaError(f"avatar {avatar.name}: a loop of {count / video.fps:.0f} s")

    def pictures() -> Iterator[Picture]:
        return (body.picture(tick % turn, video.fps) for tick in range(count))

    return pictures


def _body(avatar: FoundAvatar, video: VideoFormat) -> Body:
    picture = PictureFormat(video.width, video.height, video.fps)
    try:
        return load_body(avatar.engine, avatar.source, picture)
    except (PoolError, ImportError, OSError, ValueError) as error:
        raise MediaError(f"avatar {avatar.name}: {error}") from error
