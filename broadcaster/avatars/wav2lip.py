"""Makes avatars for the engine ``wav2lip``; see ``boxed``.

Where the weights of S3FD, the authors' face detector, lie in the folder of face models and torch is
installed, the boxes are its own; else the landmarks say where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from broadcaster.avatars import boxed, photo
from broadcaster.avatars.maker import Facts, Picture, Progress, Wanted
from broadcaster.avatars.pictures import to_bgr
from gpu_pool.engines.face.models import DEFAULT_FOLDER
from gpu_pool.engines.photo.folder import read_avatar
from gpu_pool.engines.wav2lip.boxes import boxes_in
from gpu_pool.engines.wav2lip.faces_file import FILE, read_faces, write_faces

judge, first_picture = photo.judge, photo.first_picture

_MADE = 0.4
"""Part of the progress that is over before the detector begins."""


def make(wanted: Wanted, files: Path, progress: Progress) -> None:
    """As ``Maker``."""
    folder = wanted.models or DEFAULT_FOLDER
    if find_spec("torch") is None or not any(folder.glob("s3fd*.pth")):
        photo.make(wanted, files, progress)
        return
    photo.make(wanted, files, lambda done, step: progress(_MADE * done, step))
    _detect(folder, files, progress)


def change_handles(files: Path, handles: Mapping[str, object]) -> None:
    """As ``Maker``; what a person has set goes before what was detected."""
    photo.change_handles(files, handles)
    (files / FILE).unlink(missing_ok=True)


def read(files: Path) -> Facts:
    """As ``Maker``."""
    facts = boxed.read(files, boxes_in)
    with photo.told():
        faces = read_faces(files, facts.pictures, facts.width, facts.height)
    warning = "" if faces is None else faces.warning
    return replace(facts, warnings=(*facts.warnings, warning)) if warning else facts


def contact_sheet(files: Path, name: str) -> Picture:
    """As ``Maker``."""
    return boxed.contact_sheet(files, name, boxes_in)


def _detect(folder: Path, files: Path, progress: Progress) -> None:
    from gpu_pool.engines.s3fd.follow import (  # noqa: PLC0415 (needs torch)
        FaceBoxes,
        detector,
        weights_in,
    )

    with photo.told():
        weights = weights_in(folder)
        if weights is None:
            return
        avatar = read_avatar(files)

        def picture(number: int) -> Picture:
            if avatar.clip is not None:
                return to_bgr(avatar.clip.picture(number))
            return np.asarray(avatar.picture, np.uint8)

        looking = FaceBoxes(detector(weights), picture, avatar.points)
        for done, of in looking.look():
            progress(_MADE + (1 - _MADE) * done / of, f"detecting the face, picture {done}")
        write_faces(files, looking.faces())
