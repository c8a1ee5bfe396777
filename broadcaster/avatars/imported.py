"""Avatar folders that were made for another system, in the station's words.

Loaded in the limited child only: such a folder came from a stranger.
"""

from __future__ import annotations

from pathlib import Path

from broadcaster.avatars.maker import Progress, Wanted, maker_of
from broadcaster.avatars.photo import told
from gpu_pool.engines.livetalking import Import, engine_of, import_avatar


def engine_for(source: Path, asked: str) -> str:
    """Who shall draw the avatar: who was asked for, else whom the folder was made for.

    Raises:
        AvatarError: avatars cannot be made for that engine, or the folder is no avatar's.
    """
    if asked:
        maker_of(asked)
        return asked
    with told():
        return engine_of(source)


def take_over(wanted: Wanted, engine: str, fps: float, files: Path, progress: Progress) -> None:
    """Fill an empty folder; ``wanted.source`` is the brought one.

    Raises:
        AvatarError: why it cannot be one, for whoever brought it.
    """
    with told():
        what = Import(wanted.source, wanted.name, engine, fps, wanted.models, wanted.max_clip_s)
        import_avatar(what, files, progress)
