"""Makes avatars for the engine ``photo``: its own functions, in the station's words.

Loaded in the limited child only. What it refuses is told as it says it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from broadcaster.avatars.contact_sheet import FaceBox, draw_bodies
from broadcaster.avatars.maker import Facts, Picture, Progress, Wanted
from broadcaster.avatars.pictures import to_bgr
from broadcaster.errors import AvatarError
from gpu_pool.contracts import PictureFormat, PoolError
from gpu_pool.engines.face.judge import the_face
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.values import Handles, check_handles, handles_from_json
from gpu_pool.engines.photo.body import load
from gpu_pool.engines.photo.clip import ClipSource
from gpu_pool.engines.photo.create import create_avatar, re_handle
from gpu_pool.engines.photo.folder import PICTURE, THUMBNAIL, read_avatar, read_summary
from gpu_pool.engines.photo.framing import face_rectangle, shown_cut
from gpu_pool.engines.photo.source import kind_of, read_picture

_CLIPS = {"mov", "matroska"}
_WIDE, _TALL = PictureFormat(1920, 1080, 25), PictureFormat(720, 1280, 25)
_FAR_PX = 1_000_000
"""Beyond every picture: handles are checked against the real size once that is known."""


def judge(wanted: Wanted) -> None:
    """As ``Maker``: a picture is decoded and its face found, of a clip the first one decoded."""
    with told():
        with wanted.source.open("rb") as file:
            kind = kind_of(file.read(16))
        if kind in _CLIPS:
            first = next(ClipSource(wanted.source, kind, wanted.max_clip_s).pictures())
        else:
            first = read_picture(wanted.source)
        height, width = first.shape[:2]
        if wanted.handles:
            handles_from_json(wanted.handles, width, height)
        elif kind not in _CLIPS:
            found = the_face(FaceModels.load(wanted.models), first)
            check_handles(found.handles, width, height)


def make(wanted: Wanted, files: Path, progress: Progress) -> None:
    """As ``Maker``."""
    with told():
        create_avatar(
            wanted.source,
            files,
            name=wanted.name,
            handles=_handles(wanted.handles) if wanted.handles else None,
            models=wanted.models,
            max_clip_s=wanted.max_clip_s,
            progress=progress,
        )


def change_handles(files: Path, handles: Mapping[str, object]) -> None:
    """As ``Maker``."""
    with told():
        summary = read_summary(files)
        wanted = _handles(handles)
        check_handles(wanted, summary.width, summary.height)
        re_handle(files, wanted)


def read(files: Path) -> Facts:
    """As ``Maker``."""
    with told():
        summary = read_avatar(files).summary
    return Facts(
        summary.kind,
        summary.width,
        summary.height,
        summary.pictures,
        files / THUMBNAIL,
        {name: (point[0], point[1]) for name, point in summary.handles.json().items()},
        summary.warnings,
    )


def first_picture(files: Path) -> Picture:
    """As ``Maker``."""
    with told():
        avatar = read_avatar(files)
        if avatar.clip is None:
            return read_picture(files / PICTURE)
        return to_bgr(avatar.clip.picture(0))


def contact_sheet(files: Path, name: str) -> Picture:
    """As ``Maker``."""
    with told():
        return draw_bodies(load(files, _WIDE), load(files, _TALL), name, _face_box(files))


def _handles(told: Mapping[str, object]) -> Handles:
    return handles_from_json(told, _FAR_PX, _FAR_PX)


def _face_box(files: Path) -> FaceBox:
    """Where the face is in a wide picture of the engine."""
    avatar = read_avatar(files)
    size = avatar.summary.width, avatar.summary.height
    cut, place = shown_cut(*size, avatar.points, _WIDE.width, _WIDE.height)
    left, top, right, bottom = face_rectangle(cut.points(avatar.points[:1]))
    over, down = place[:2] if place is not None else (0, 0)
    return FaceBox(left + over, top + down, right + over, bottom + down)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the engine refuses, in the station's words."""
    try:
        yield
    except PoolError as error:
        raise AvatarError(str(error)) from error
