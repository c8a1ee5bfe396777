"""Makes avatars for the engine ``musetalk``; see ``boxed``."""

from __future__ import annotations

from pathlib import Path

from broadcaster.avatars import boxed, photo
from broadcaster.avatars.maker import Facts, Picture
from gpu_pool.engines.musetalk.boxes import boxes_in

judge, make, change_handles = photo.judge, photo.make, photo.change_handles
first_picture = photo.first_picture


def read(files: Path) -> Facts:
    """As ``Maker``."""
    return boxed.read(files, boxes_in)


def contact_sheet(files: Path, name: str) -> Picture:
    """As ``Maker``."""
    return boxed.contact_sheet(files, name, boxes_in)
