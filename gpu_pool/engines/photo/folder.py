"""An avatar's folder: JSON, a WebP or MP4, npz files without pickle; read suspiciously.

Written at import, read by workers and by whoever lists avatars. Nothing in it is ever executed or
unpickled, and every size is checked before it is believed. ``avatar.json`` names the other files
with their hashes and is put in place last, by one rename: whoever dies on the way leaves what it
named before. A track of other points is a file of another name.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gpu_pool.engines.face.points import POINTS
from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.face.values import Handles, Points, handles_from_json
from gpu_pool.engines.photo import stored_boxes
from gpu_pool.engines.photo.framing import LONGEST_SIDE
from gpu_pool.engines.photo.source import Bgr, read_picture
from gpu_pool.engines.photo.stored_boxes import BOXES, StoredBoxes
from gpu_pool.engines.photo.stored_clip import ClipPictures

FORMAT = 1
"""Of the folder; a reader refuses any other."""

TABLE, TRACK, THUMBNAIL = "avatar.json", "track.npz", "thumbnail.webp"
PICTURE, CLIP = "picture.webp", "clip.mp4"
MEDIA = {"picture": PICTURE, "clip": CLIP}

_TRACK = re.compile(r"track(-[0-9a-f]{16})?\.npz")

FOUND_BY = ("landmarks", "box", "handles")

_MOST_TABLE_BYTES = 64 << 10
_MOST_CLIP_BYTES = 512 << 20
MOST_PICTURES = 120 * 31
_MOST_NAME = 100
_MOST_WARNINGS = 20
_LONGEST_GOP = 60

_FRESH = ".new"
"""Ends the name of a file that may not be whole yet."""


@dataclass(frozen=True, slots=True)
class AvatarSummary:
    """What one wants to know of an avatar without loading it.

    Attributes:
        folder: where it lies.
        kind: ``picture`` or ``clip``.
        width, height: of the stored pictures, pixels.
        fps: of the clip; 0 for a picture.
        pictures: how many; 1 for a picture.
        handles: in pixels of the first stored picture.
        found_by: ``landmarks``, ``box`` (guessed from the face's box) or ``handles`` (given).
        teeth_at: number of the picture whose teeth are shown; None draws some.
        warnings: what could look better, in words.
        source_sha256: of the file that it was made from.
        boxes_for: the engine whose boxes it brought along; empty where the points tell them.
    """

    folder: Path
    name: str
    kind: str
    width: int
    height: int
    fps: float
    pictures: int
    handles: Handles
    found_by: str
    teeth_at: int | None
    warnings: tuple[str, ...]
    source_sha256: str
    boxes_for: str = ""

    def table(self) -> dict[str, Any]:
        """The content of ``avatar.json`` but for the files."""
        return {
            "format": FORMAT,
            "name": self.name,
            "kind": self.kind,
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "pictures": self.pictures,
            "handles": self.handles.json(),
            "found_by": self.found_by,
            "teeth_at": self.teeth_at,
            "warnings": list(self.warnings),
            "source_sha256": self.source_sha256,
            **({"boxes_for": self.boxes_for} if self.boxes_for else {}),
        }


@dataclass(frozen=True, slots=True)
class AvatarFolder:
    """An avatar, read: ``points`` (pictures, POINTS, 2) in stored pixels; either media is None."""

    summary: AvatarSummary
    points: Points
    picture: Bgr | None
    clip: ClipPictures | None
    boxes: StoredBoxes | None = None


# --- write ----------------------------------------------------------------------------------------


def write_track(folder: Path, points: Points) -> str:
    """Store the points of every picture beside those that the table names, if there is one.

    Returns:
        The file's name, for ``write_table``.
    """
    packed = io.BytesIO()
    np.savez(packed, points=np.ascontiguousarray(points, np.float32))
    data = packed.getvalue()
    there = (folder / TABLE).exists()
    name = f"track-{hashlib.sha256(data).hexdigest()[:16]}.npz" if there else TRACK
    _replace(folder / name, data)
    return name


def write_boxes(folder: Path, stored: StoredBoxes) -> None:
    """Store the boxes that an avatar brought along."""
    _replace(folder / BOXES, stored_boxes.pack(stored))


def write_webp(file: Path, picture: Bgr, quality: int) -> None:
    """Store a picture."""
    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise AvatarRefused(f"{file.name} cannot be written")
    _replace(file, data.tobytes())


def write_table(summary: AvatarSummary, track: str = TRACK) -> None:
    """Store what is known, last of all: a folder without it is none, and one with it is whole.

    Afterwards tracks that are not named any more are deleted.
    """
    files = {}
    own = (BOXES,) if summary.boxes_for else ()
    for name in (MEDIA[summary.kind], track, THUMBNAIL, *own):
        data = (summary.folder / name).read_bytes()
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps({**summary.table(), "files": files}, indent=1, ensure_ascii=False)
    _replace(summary.folder / TABLE, text.encode())
    for other in list(summary.folder.iterdir()):
        left = other.name.removesuffix(_FRESH)
        if _TRACK.fullmatch(left) and other.name != track:
            other.unlink(missing_ok=True)


def _replace(file: Path, data: bytes) -> None:
    """The old file or the new one, whole, whatever happens meanwhile."""
    fresh = file.with_name(file.name + _FRESH)
    with fresh.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    fresh.replace(file)


# --- read -----------------------------------------------------------------------------------------


def read_summary(folder: Path) -> AvatarSummary:
    """What ``avatar.json`` says, checked.

    Raises:
        AvatarRefused: names the file and the field.
    """
    return _summary(folder, _table(folder))


def read_avatar(folder: Path) -> AvatarFolder:
    """Everything, checked: sizes, hashes, shapes and ranges.

    Raises:
        AvatarRefused: names the file and the field.
    """
    table = _table(folder)
    summary = _summary(folder, table)
    media, track = MEDIA[summary.kind], _track_name(folder, table)
    limits = {media: _MOST_CLIP_BYTES, track: _track_bytes(summary), THUMBNAIL: 4 << 20}
    if summary.boxes_for:
        limits[BOXES] = stored_boxes.most_bytes(summary.pictures)
    for name, most in limits.items():
        _check_file(folder / name, table.get("files"), most)
    points, boxes = _points(folder / track, summary), _boxes(folder / BOXES, summary)
    if summary.kind == "picture":
        picture = read_picture(folder / PICTURE)
        if picture.shape[:2] != (summary.height, summary.width):
            raise AvatarRefused(f"{PICTURE}: its size is not that of {TABLE}")
        return AvatarFolder(summary, points, picture, None, boxes)
    return AvatarFolder(summary, points, None, _clip(folder / CLIP, summary), boxes)


def _table(folder: Path) -> Mapping[str, Any]:
    file = folder / TABLE
    try:
        if file.stat().st_size > _MOST_TABLE_BYTES:
            raise AvatarRefused(f"{file}: it is too large")
        table = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise AvatarRefused(f"{file}: it cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AvatarRefused(f"{file}: it is no JSON") from error
    if not isinstance(table, dict):
        raise AvatarRefused(f"{file}: it is no JSON object")
    if table.get("format") != FORMAT:
        raise AvatarRefused(f"{file}: format {str(table.get('format'))[:20]} is not known here")
    return table


def _summary(folder: Path, table: Mapping[str, Any]) -> AvatarSummary:
    field = _Fields(folder / TABLE, table)
    kind = field.choice("kind", tuple(MEDIA))
    width, height = (field.whole(name, 64, LONGEST_SIDE) for name in ("width", "height"))
    if width % 2 or height % 2:
        raise field.wrong("width", "sides have to be even")
    clip = kind == "clip"
    pictures = field.whole("pictures", 1 + clip, MOST_PICTURES if clip else 1)
    teeth = None if table.get("teeth_at") is None else field.whole("teeth_at", 0, pictures - 1)
    try:
        handles = handles_from_json(table.get("handles"), width, height)
    except AvatarRefused as error:
        raise AvatarRefused(f"{field.file}: {error}") from error
    return AvatarSummary(
        folder=folder,
        name=field.text("name", _MOST_NAME),
        kind=kind,
        width=width,
        height=height,
        fps=field.number("fps", 1.0 if clip else 0.0, 60.0 if clip else 0.0),
        pictures=pictures,
        handles=handles,
        found_by=field.choice("found_by", FOUND_BY),
        teeth_at=teeth,
        warnings=field.lines("warnings", _MOST_WARNINGS),
        source_sha256=field.text("source_sha256", 64),
        boxes_for=field.text("boxes_for", 20) if "boxes_for" in table else "",
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """Reads fields of a table and says which of them is wrong."""

    file: Path
    table: Mapping[str, Any]

    def wrong(self, name: str, why: str) -> AvatarRefused:
        return AvatarRefused(f"{self.file}: {name}: {why}")

    def number(self, name: str, low: float, high: float) -> float:
        value = self.table.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.wrong(name, "a number is needed")
        if not (math.isfinite(value) and low <= value <= high):
            raise self.wrong(name, f"it has to be from {low:g} to {high:g}")
        return float(value)

    def whole(self, name: str, low: int, high: int) -> int:
        value = self.number(name, low, high)
        if value != int(value):
            raise self.wrong(name, "a whole number is needed")
        return int(value)

    def text(self, name: str, longest: int) -> str:
        value = self.table.get(name)
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise self.wrong(name, f"a text of at most {longest} characters is needed")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.table.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(name, f"one of {', '.join(choices)} is needed")
        return value

    def lines(self, name: str, most: int) -> tuple[str, ...]:
        value = self.table.get(name)
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(each, str) and len(each) <= 300 for each in value)
        ):
            raise self.wrong(name, f"at most {most} short texts are needed")
        return tuple(value)


def _track_name(folder: Path, table: Mapping[str, Any]) -> str:
    files = table.get("files")
    names = [each for each in files if _TRACK.fullmatch(each)] if isinstance(files, dict) else []
    if len(names) != 1:
        raise AvatarRefused(f"{folder / TABLE}: files: the one track is missing")
    return str(names[0])


def _check_file(file: Path, files: object, most: int) -> None:
    told = files.get(file.name) if isinstance(files, dict) else None
    if not isinstance(told, dict):
        raise AvatarRefused(f"{file.parent / TABLE}: files: {file.name} is missing")
    try:
        size = file.stat().st_size
        if size > most:
            raise AvatarRefused(f"{file}: it is larger than {most} bytes")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise AvatarRefused(f"{file}: it cannot be read: {error.strerror}") from error
    if told.get("bytes") != size or told.get("sha256") != digest:
        raise AvatarRefused(f"{file}: it is not the file that {TABLE} describes")


def _track_bytes(summary: AvatarSummary) -> int:
    """Array, its header, and the zip's own records."""
    return summary.pictures * POINTS * 8 + 4096


def _points(file: Path, summary: AvatarSummary) -> Points:
    wanted = (summary.pictures, POINTS, 2)
    try:
        with zipfile.ZipFile(file) as packed:
            if [each.filename for each in packed.infolist()] != ["points.npy"]:
                raise AvatarRefused(f"{file}: points: it has to be the one array in it")
            if packed.infolist()[0].file_size > _track_bytes(summary):
                raise AvatarRefused(f"{file}: points: it is too large")
        with np.load(file, allow_pickle=False) as arrays:
            points = arrays["points"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
        raise AvatarRefused(f"{file}: points: it cannot be read") from error
    if points.dtype != np.float32 or points.shape != wanted:
        raise AvatarRefused(f"{file}: points: float32 of {wanted} is needed")
    reach = 2.0 * LONGEST_SIDE
    if not (np.isfinite(points).all() and np.abs(points).max() < reach):
        raise AvatarRefused(f"{file}: points: some lie outside the picture")
    return np.ascontiguousarray(points, np.float32)


def _boxes(file: Path, summary: AvatarSummary) -> StoredBoxes | None:
    if not summary.boxes_for:
        return None
    return stored_boxes.read(file, summary.pictures, summary.width, summary.height)


def _clip(file: Path, summary: AvatarSummary) -> ClipPictures:
    clip = ClipPictures(file)
    if (clip.width, clip.height) != (summary.width, summary.height):
        raise AvatarRefused(f"{file}: its size is not that of {TABLE}")
    if clip.codec != "h264" or clip.pixel_format != "yuv420p":
        raise AvatarRefused(f"{file}: H.264 in yuv420p is needed")
    if len(clip) != summary.pictures:
        raise AvatarRefused(f"{file}: pictures: {len(clip)}, but {summary.pictures} in {TABLE}")
    if clip.longest_gop > _LONGEST_GOP:
        raise AvatarRefused(f"{file}: key pictures are too far apart")
    return clip
