"""Makes an avatar's folder out of somebody's picture or clip.

At import, in a child process of whoever asks: decoding what a stranger sent may take memory, time
or the process itself. Must never leave half an avatar behind.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from gpu_pool.engines.face.follow import Follower, HeadFollower, MeshFollower
from gpu_pool.engines.face.judge import check_mouth, check_turned, the_face
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.points import from_handles, handles_of
from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.face.smooth import smoothed
from gpu_pool.engines.face.values import Face, Handles, Points, check_handles
from gpu_pool.engines.photo import folder as files
from gpu_pool.engines.photo.clip import ClipSource
from gpu_pool.engines.photo.folder import AvatarSummary
from gpu_pool.engines.photo.framing import Cut, stored_cut
from gpu_pool.engines.photo.handled import rehandled
from gpu_pool.engines.photo.source import Bgr, kind_of, read_picture
from gpu_pool.engines.photo.stored_clip import ClipPictures, ClipWriter
from gpu_pool.engines.photo.teeth import best_teeth
from gpu_pool.engines.photo.yuv import to_i420

Progress = Callable[[float, str], None]

_PICTURE_QUALITY, _THUMBNAIL_QUALITY = 95, 80
_THUMBNAIL_PX = 320

_MOST_UNSEEN = 0.2
"""Part of a clip in which the face may be out of sight."""


def _quiet(part: float, text: str) -> None:
    """Progress that nobody looks at."""


def create_avatar(
    source: Path,
    folder: Path,
    *,
    name: str,
    handles: Handles | None = None,
    models: Path | None = None,
    max_clip_s: float = 60.0,
    progress: Progress = _quiet,
) -> AvatarSummary:
    """Fill an empty folder with an avatar made of a picture or a clip.

    Args:
        source: a JPEG, PNG, WebP, MP4, MOV, WebM or MKV; what it is, its first bytes say.
        folder: empty or not there yet; its parent is there.
        name: shown to people.
        handles: where eyes and mouth are, in pixels of the source (of a clip's first picture) as
            shown upright; they win over what is found.
        models: folder of the two networks; None is ``models/face`` in the clone. Where there are
            none, the face is found by a cascade and its mouth guessed.
        max_clip_s: longer clips are refused.
        progress: called with 0 to 1 and a few words.

    Raises:
        AvatarRefused: why it cannot be one, for whoever sent it; the folder is as it was.
        OSError: a file cannot be read or written; the folder is as it was.
    """
    name = checked_name(name)
    with empty_folder(folder):
        progress(0.0, "reading")
        with source.open("rb") as file:
            head = file.read(16)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kind = kind_of(head)
        work = _Work(folder, name, handles, FaceModels.load(models), progress, digest)
        if kind in {"mov", "matroska"}:
            summary = _from_clip(work, ClipSource(source, kind, max_clip_s))
        else:
            summary = _from_picture(work, read_picture(source))
        files.write_table(summary)
        summary = files.read_avatar(folder).summary
        progress(1.0, "done")
        return summary


def re_handle(folder: Path, handles: Handles) -> AvatarSummary:
    """Move the face of an avatar to dragged handles.

    Args:
        folder: of an avatar.
        handles: in pixels of its first stored picture, as ``avatar.json`` has them.

    Killed at any moment it leaves the avatar as it was, or moved. Who reads at the moment of the
    change may be refused; an avatar is not to be changed twice at once.

    Raises:
        AvatarRefused: the handles form no face, or the folder is no avatar; it is as it was.
    """
    avatar = files.read_avatar(folder)
    summary = avatar.summary
    check_handles(handles, summary.width, summary.height)
    points = rehandled(avatar.points, handles)
    width = float(np.median([handles_of(each).mouth_width for each in points]))
    kept = tuple(each for each in summary.warnings if "mouth" not in each)
    moved = replace(
        summary,
        handles=handles,
        found_by="handles",
        teeth_at=best_teeth(points, _pictures_of(avatar)),
        warnings=(*kept, *check_mouth(width)),
    )
    files.write_table(moved, files.write_track(folder, points))
    return files.read_summary(folder)


def _pictures_of(avatar: files.AvatarFolder) -> Callable[[int], Bgr]:
    def picture(number: int) -> Bgr:
        if avatar.clip is None:
            assert avatar.picture is not None, "it is one or the other"
            return avatar.picture
        i420 = avatar.clip.picture(number)
        return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), np.uint8)

    return picture


@dataclass(frozen=True, slots=True)
class _Work:
    folder: Path
    name: str
    handles: Handles | None
    models: FaceModels | None
    progress: Progress
    digest: str

    def summary(self, kind: str, cut: Cut, points: Points, yaws: list[float]) -> AvatarSummary:
        """What is known once the points are; checks that they are good enough."""
        width = float(np.median([handles_of(each).mouth_width for each in points]))
        found = "handles" if self.handles else "landmarks" if self.models else "box"
        warnings = (*check_mouth(width), *check_turned(yaws))
        if found == "box":
            warnings += ("the mouth was guessed from the face's box: check the handles",)
        handles = handles_of(points[0])
        check_handles(handles, cut.width, cut.height)
        return AvatarSummary(
            folder=self.folder,
            name=self.name,
            kind=kind,
            width=cut.width,
            height=cut.height,
            fps=0.0,
            pictures=len(points),
            handles=handles,
            found_by=found,
            teeth_at=None,
            warnings=warnings,
            source_sha256=self.digest,
        )


def _from_picture(work: _Work, source: Bgr) -> AvatarSummary:
    work.progress(0.2, "looking for the face")
    height, width = source.shape[:2]
    face = _face_of(work, source)
    cut = stored_cut(width, height, face.points[None], face.handles.mouth_width)
    points = cut.points(face.points)[None]
    picture = cut.picture(source)
    summary = work.summary("picture", cut, points, [face.yaw_deg])
    warnings = dict.fromkeys((*face.warnings, *summary.warnings))
    summary = replace(summary, warnings=tuple(warnings))
    work.progress(0.7, "storing")
    files.write_webp(work.folder / files.PICTURE, picture, _PICTURE_QUALITY)
    files.write_track(work.folder, points)
    write_thumbnail(work.folder, picture)
    return replace(summary, teeth_at=best_teeth(points, lambda _: picture))


def _face_of(work: _Work, source: Bgr) -> Face:
    if work.handles is None:
        return the_face(work.models, source)
    height, width = source.shape[:2]
    check_handles(work.handles, width, height)
    return Face(from_handles(work.handles), work.handles, 0.0)


def _from_clip(work: _Work, source: ClipSource) -> AvatarSummary:
    points, yaws, (width, height) = _followed(work, source)
    mouth_px = float(np.median([handles_of(each).mouth_width for each in points]))
    points = smoothed(points, source.fps, mouth_px)
    cut = stored_cut(width, height, points, mouth_px)
    points = cut.points(points)
    summary = replace(work.summary("clip", cut, points, yaws), fps=round(source.fps, 3))
    writer = ClipWriter(work.folder / files.CLIP, cut.width, cut.height, source.fps)
    try:
        for number, bgr in enumerate(source.pictures()):
            picture = cut.picture(bgr)
            writer.write(to_i420(picture))
            if number == 0:
                write_thumbnail(work.folder, picture)
            work.progress(0.5 + 0.45 * number / len(points), f"storing picture {number + 1}")
    finally:
        writer.close()
    files.write_track(work.folder, points)
    stored = ClipPictures(work.folder / files.CLIP)

    def picture_at(number: int) -> Bgr:
        return np.asarray(cv2.cvtColor(stored.picture(number), cv2.COLOR_YUV2BGR_I420), np.uint8)

    return replace(summary, teeth_at=best_teeth(points, picture_at))


def _followed(work: _Work, source: ClipSource) -> tuple[Points, list[float], tuple[int, int]]:
    """The face of every picture, where it was out of sight in between those around."""
    follower = _follower(work)
    seen: list[Face | None] = []
    size = (0, 0)
    for number, bgr in enumerate(source.pictures()):
        size = bgr.shape[1], bgr.shape[0]
        if number == 0 and work.handles is not None:
            check_handles(work.handles, *size)
        seen.append(follower.see(bgr))
        part = min(1.0, (number + 1) / source.expected_pictures)
        work.progress(0.5 * part, f"following the face, picture {number + 1}")
    there = [number for number, face in enumerate(seen) if face is not None]
    unseen = 1 - len(there) / len(seen)
    if not there or unseen > _MOST_UNSEEN:
        raise AvatarRefused(f"the face is out of sight in {100 * unseen:.0f} % of the clip")
    faces = [face for face in seen if face is not None]
    known = np.stack([face.points for face in faces])
    points = filled(known, there, len(seen))
    if work.handles is not None and work.models is not None:
        points = rehandled(points, work.handles)
    return points, [face.yaw_deg for face in faces], size


def _follower(work: _Work) -> Follower:
    if work.models is None:
        return HeadFollower(work.handles)
    return MeshFollower(work.models)


def filled(known: Points, there: list[int], count: int) -> Points:
    """Values (count, ...) of every picture from those of some; in between where one lacks."""
    flat = known.reshape(len(known), -1)
    every = np.arange(count)
    columns = [np.interp(every, there, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(count, *known.shape[1:]).astype(np.float32)


def write_thumbnail(folder: Path, picture: Bgr) -> None:
    """Store a small one of the first picture."""
    scale = _THUMBNAIL_PX / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    files.write_webp(folder / files.THUMBNAIL, np.asarray(small, np.uint8), _THUMBNAIL_QUALITY)


def checked_name(name: str) -> str:
    """A name to be shown to people.

    Raises:
        AvatarRefused: it is none.
    """
    name = name.strip()
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise AvatarRefused("the name has to be 1 to 100 printable characters")
    return name


@contextlib.contextmanager
def empty_folder(folder: Path) -> Iterator[None]:
    """A folder to fill; whatever goes wrong, it is afterwards as it was."""
    was_there = folder.is_dir()
    if was_there and any(folder.iterdir()):
        raise AvatarRefused(f"{folder} is not empty")
    folder.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        for file in folder.iterdir():
            file.unlink()
        if not was_there:
            folder.rmdir()
        raise
