"""Makes our own avatar folder of a brought one: its pictures, its boxes, its masks.

At import, in a child process of whoever asks. Nothing that was brought is executed, and nothing of
it is copied as it is. Must never leave half an avatar behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from gpu_pool.engines.face.judge import check_mouth, check_turned
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.points import handles_of
from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.face.smooth import smoothed
from gpu_pool.engines.face.values import SMALLEST_MOUTH_PX, Points, check_handles
from gpu_pool.engines.livetalking.boxes import masks_of, told_held
from gpu_pool.engines.livetalking.brought import BroughtAvatar
from gpu_pool.engines.livetalking.layout import FACES, recognised
from gpu_pool.engines.livetalking.points import BoxedFollower, Placed
from gpu_pool.engines.livetalking.stranger import StrangersFolder
from gpu_pool.engines.photo import folder as files
from gpu_pool.engines.photo.create import checked_name, empty_folder, write_thumbnail
from gpu_pool.engines.photo.folder import AvatarSummary
from gpu_pool.engines.photo.framing import LONGEST_SIDE, Cut, stored_cut
from gpu_pool.engines.photo.source import Bgr, picture_of
from gpu_pool.engines.photo.stored_boxes import Edges, StoredBoxes
from gpu_pool.engines.photo.stored_clip import ClipPictures, ClipWriter
from gpu_pool.engines.photo.teeth import best_teeth
from gpu_pool.engines.photo.yuv import to_i420

Progress = Callable[[float, str], None]

LEAST_FPS, MOST_FPS = 4.0, 60.0
"""Pictures a second that an imported avatar may have been made for."""

_PICTURE_QUALITY = 95


def engine_of(source: Path) -> str:
    """The engine that a brought folder was made for: ``wav2lip`` or ``musetalk``.

    Raises:
        AvatarRefused: it is no such folder.
    """
    with StrangersFolder(source) as folder:
        return recognised(folder).engine


@dataclass(frozen=True, slots=True)
class Import:
    """What is to be imported.

    Attributes:
        source: the brought folder.
        name: shown to people.
        engine: that shall draw it. Boxes and masks are taken over where it is the one that the
            folder was made for; any other lays its own.
        fps: pictures a second; the folder does not say.
        models: as for ``create_avatar``.
        max_clip_s: longer ones are refused.
    """

    source: Path
    name: str
    engine: str
    fps: float = 25.0
    models: Path | None = None
    max_clip_s: float = 60.0


def import_avatar(wanted: Import, folder: Path, progress: Progress) -> AvatarSummary:
    """Fill an empty folder with the avatar of a brought one.

    Args:
        wanted: what and how.
        folder: empty or not there yet; its parent is there.
        progress: called with 0 to 1 and a few words.

    Raises:
        AvatarRefused: why it cannot be one, for whoever brought it; the folder is as it was.
        OSError: a file cannot be written; the folder is as it was.
    """
    name = checked_name(wanted.name)
    if not LEAST_FPS <= wanted.fps <= MOST_FPS:
        raise AvatarRefused(f"fps has to be from {LEAST_FPS:g} to {MOST_FPS:g}")
    with empty_folder(folder), StrangersFolder(wanted.source) as source:
        progress(0.0, "reading")
        brought = BroughtAvatar.of(source)
        _check_length(len(brought.layout.pictures), wanted)
        work = _Work(replace(wanted, name=name), folder, brought, progress)
        files.write_table(work.done())
        summary = files.read_avatar(folder).summary
        progress(1.0, "done")
        return summary


class _Work:
    """One import on its way."""

    def __init__(
        self, wanted: Import, folder: Path, brought: BroughtAvatar, progress: Progress
    ) -> None:
        self._wanted, self._folder, self._brought = wanted, folder, brought
        self._progress, self._count = progress, len(brought.layout.pictures)
        self._notes = list(brought.layout.notes)

    def done(self) -> AvatarSummary:
        """Everything is stored but the table."""
        brought = self._brought
        placed = self._placed()
        points = placed.points
        mouths = [handles_of(each).mouth_width for each in points]
        if self._count > 1:
            points = smoothed(points, self._wanted.fps, float(np.median(mouths)))
        cut = _cut(*brought.size, points, min(mouths[0], float(np.median(mouths))))
        points = _inside(cut.points(points), cut, placed.by_landmarks)
        self._store(cut)
        files.write_track(self._folder, points)
        boxes_for = self._store_boxes(cut)
        summary = self._summary(cut, points, placed)
        return replace(summary, boxes_for=boxes_for, teeth_at=self._teeth(points))

    def _placed(self) -> Placed:
        boxes = self._brought.boxes.boxes
        follower = BoxedFollower(FaceModels.load(self._wanted.models), self._brought.layout.engine)
        odd = 0
        for number, picture in enumerate(self._brought.pictures()):
            follower.see(picture, boxes[number])
            odd += self._brought.looks_odd(number, picture)
            part = 0.5 * (number + 1) / self._count
            self._progress(part, f"following the face, picture {number + 1}")
        if odd:
            self._notes.append(f"{FACES} does not show what the boxes cut out: look at the preview")
        return follower.placed(boxes)

    def _store(self, cut: Cut) -> None:
        for number, picture in enumerate(self._stored(cut)):
            if number == 0:
                write_thumbnail(self._folder, picture)
            part = 0.5 + 0.4 * (number + 1) / self._count
            self._progress(part, f"storing picture {number + 1}")

    def _stored(self, cut: Cut) -> Iterator[Bgr]:
        """Each picture once it is stored."""
        every = (cut.picture(picture) for picture in self._brought.pictures())
        if self._count == 1:
            for picture in every:
                files.write_webp(self._folder / files.PICTURE, picture, _PICTURE_QUALITY)
                yield picture
            return
        writer = ClipWriter(self._folder / files.CLIP, cut.width, cut.height, self._wanted.fps)
        try:
            for picture in every:
                writer.write(to_i420(picture))
                yield picture
        finally:
            writer.close()

    def _store_boxes(self, cut: Cut) -> str:
        """For whom they are; for nobody where another engine is asked for."""
        brought = self._brought
        if brought.boxes.held:
            told = told_held(brought.boxes.held)
            self._notes.append(f"no face in {told}: the boxes beside are held")
        if brought.layout.engine != self._wanted.engine:
            self._notes.append(
                f"the boxes were made for {brought.layout.engine}:"
                f" {self._wanted.engine} lays its own"
            )
            return ""
        self._progress(0.92, "storing the boxes")
        high = np.array([cut.width, cut.height] * 2, np.float32)
        boxes = np.clip(cut.edges(brought.boxes.boxes), 0, high)
        if brought.boxes.squares is None:
            files.write_boxes(self._folder, StoredBoxes(boxes))
        else:
            masks = masks_of(brought.source, brought.layout, brought.boxes)
            squares = _around(cut.edges(brought.boxes.squares), boxes)
            files.write_boxes(self._folder, StoredBoxes(boxes, squares, masks))
        return brought.layout.engine

    def _summary(self, cut: Cut, points: Points, placed: Placed) -> AvatarSummary:
        handles = handles_of(points[0])
        width = float(np.median([handles_of(each).mouth_width for each in points]))
        notes = [*self._notes, *check_mouth(width), *_turned(placed)]
        if not placed.by_landmarks:
            notes.append("the mouth was guessed from the boxes: check the handles")
        check_handles(handles, cut.width, cut.height)
        return AvatarSummary(
            folder=self._folder,
            name=self._wanted.name,
            kind="clip" if self._count > 1 else "picture",
            width=cut.width,
            height=cut.height,
            fps=round(self._wanted.fps, 3) if self._count > 1 else 0.0,
            pictures=self._count,
            handles=handles,
            found_by="landmarks" if placed.by_landmarks else "box",
            teeth_at=None,
            warnings=tuple(notes),
            source_sha256=self._brought.sha256,
        )

    def _teeth(self, points: Points) -> int | None:
        if self._count == 1:
            picture = picture_of((self._folder / files.PICTURE).read_bytes())
            return best_teeth(points, lambda _: picture)
        stored = ClipPictures(self._folder / files.CLIP)

        def picture_at(number: int) -> Bgr:
            return np.asarray(
                cv2.cvtColor(stored.picture(number), cv2.COLOR_YUV2BGR_I420), np.uint8
            )

        return best_teeth(points, picture_at)


def _check_length(count: int, wanted: Import) -> None:
    length_s = count / wanted.fps
    if length_s > wanted.max_clip_s + 0.5:
        raise AvatarRefused(
            f"{count} pictures are {length_s:.0f} s at {wanted.fps:g} a second;"
            f" {wanted.max_clip_s:.0f} s are the most"
        )
    if count > files.MOST_PICTURES:
        raise AvatarRefused(f"{count} pictures; {files.MOST_PICTURES} are the most")


def _cut(width: int, height: int, points: Points, mouth_px: float) -> Cut:
    """As for a clip; tiny pictures are stored larger, so that their mouth has enough pixels."""
    cut = stored_cut(width, height, points, mouth_px)
    if cut.scale * mouth_px >= SMALLEST_MOUTH_PX:
        return cut
    scale = 1.05 * SMALLEST_MOUTH_PX / mouth_px
    if scale * max(width, height) > LONGEST_SIDE:
        return cut
    return Cut(0, 0, scale, 2 * int(width * scale / 2), 2 * int(height * scale / 2))


def _inside(points: Points, cut: Cut, by_landmarks: bool) -> Points:
    """Points that were guessed stay inside the picture."""
    if by_landmarks:
        return points
    return np.clip(points, 0, np.array([cut.width - 1, cut.height - 1], np.float32))


def _around(squares: Edges, boxes: Edges) -> Edges:
    low, high = np.minimum(squares[:, :2], boxes[:, :2]), np.maximum(squares[:, 2:], boxes[:, 2:])
    return np.hstack([low, high])


def _turned(placed: Placed) -> tuple[str, ...]:
    """A face from the side was good enough where it comes from; the warp of the idle loop slips."""
    if not placed.by_landmarks:
        return ()
    try:
        return check_turned(placed.yaws)
    except AvatarRefused as error:
        return (str(error),)
