"""A drawn presenter as an idle programme: its twelve seconds of life without a word.

Only the child that prepares idle media comes here; playout never loads the renderer.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import gpu_pool.engines.presenter as renderer
import idle_media
from broadcaster.formats import EncodeFormat, VideoFormat
from broadcaster.idle.encode import Pictures
from broadcaster.mixer.blend import Picture

_SOURCES = sorted(Path(renderer.__file__).parent.glob("*.py"))


def presenter_atlas(avatar: str, video: VideoFormat) -> Path:
    """The drawings of a presenter for pictures of this shape.

    Raises:
        KeyError: nobody is called so.
    """
    return idle_media.atlas(avatar, video.width, video.height)


def presenter_content(atlas: Path) -> str:
    """A hash of everything that decides what the presenter looks like."""
    digest = hashlib.sha256()
    for file in [atlas, atlas.with_suffix(".json"), *_SOURCES]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def presenter_at(atlas: Path, video: VideoFormat) -> Callable[[int], Picture]:
    """What the presenter's loop shows at a tick, uncoded; every call draws it anew."""
    presenter = renderer.Presenter.load(atlas, video.width, video.height)
    turn = presenter.loop_ticks(video.fps)
    return lambda tick: presenter.picture(tick % turn, video.fps)


def presenter_pictures(atlas: Path, fmt: EncodeFormat, still: bool) -> Pictures:
    """The pictures of whole turns that make whole GOPs; ``still``: one GOP of the first one."""
    video = fmt.video
    presenter = renderer.Presenter.load(atlas, video.width, video.height)
    turn = 1 if still else presenter.loop_ticks(video.fps)
    count = math.lcm(turn, fmt.gop_ticks)

    def pictures() -> Iterator[Picture]:
        return (presenter.picture(tick % turn, video.fps) for tick in range(count))

    return pictures
