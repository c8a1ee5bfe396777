"""The drawn presenter while it says nothing: what the idle loop of its channel shows.

For whoever encodes that loop. The renderer draws on the same body, so nothing jumps between them.
"""

from __future__ import annotations

from pathlib import Path

from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.presenter.presenter import Presenter


def atlas_in(source: Path, picture: PictureFormat) -> Path:
    """The atlas of a presenter's folder for pictures of this shape; an atlas stands for itself."""
    if not source.is_dir():
        return source
    upright = picture.height > picture.width
    return source / ("portrait.webp" if upright else "landscape.webp")


def load(source: Path, picture: PictureFormat) -> Presenter:
    """For the registry of bodies.

    Raises:
        AtlasError: no atlas that can be used.
    """
    return Presenter.load(atlas_in(source, picture), picture.width, picture.height)
