"""Is there one face, near enough and turned to the camera? Said in words for whoever sent it.

At import of an avatar only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face import mesh
from gpu_pool.engines.face.detect import find_faces, find_faces_by_cascade
from gpu_pool.engines.face.models import FaceModels
from gpu_pool.engines.face.points import from_handles, from_mesh, handles_of, handles_of_box
from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.face.values import (
    GOOD_MOUTH_PX,
    SMALLEST_MOUTH_PX,
    Face,
    FaceBox,
    Handles,
    Points,
)

_ALSO_THERE = 0.4
"""A face at least this wide, against the widest, stands beside it; a smaller one is background."""

_ONE_FACE = 0.3
"""Landmarks whose middles are nearer than this, in widths of the face, are of the same one."""

_TURNED_DEG, _PROFILE_DEG = 15.0, 30.0
"""From the first on the warp begins to slip off the far corner; from the second it does."""

_TILTED_DEG = 35.0
"""The mouth is taken for one that lies about level."""

NO_FACE = "no face was found; a portrait that looks into the camera is needed"


def the_face(models: FaceModels | None, bgr: NDArray[np.uint8]) -> Face:
    """The one face of a picture.

    Args:
        models: None finds faces by the cascade, and guesses where the mouth is.
        bgr: (height, width, 3).

    Raises:
        AvatarRefused: no face, several, too small, or turned away.
    """
    if models is None:
        box, warnings = _only(find_faces_by_cascade(bgr))
        handles = handles_of_box(box)
        warnings = (*warnings, "the mouth was guessed from the face's box: check the handles")
        face = Face(from_handles(handles), handles, 0.0, warnings)
    else:
        seen = with_landmarks(models, bgr)
        box, warnings = _only([each for each, _ in seen])
        face = face_of(seen[0][1], warnings)
        check_turned([face.yaw_deg])
        _check_upright(face.handles, box.tilt)
    check_mouth(face.handles.mouth_width)
    return face


def face_of(landmarks: Points, warnings: tuple[str, ...] = ()) -> Face:
    """A face of its landmarks."""
    points = from_mesh(landmarks)
    return Face(points, handles_of(points), mesh.yaw_of(landmarks), warnings)


def with_landmarks(
    models: FaceModels, bgr: NDArray[np.uint8], thorough: bool = True
) -> list[tuple[FaceBox, Points]]:
    """The faces that both networks see, each once, the largest first.

    The first one also takes round things for faces, such as a helmet; the second does not.
    """
    found: list[tuple[FaceBox, Points]] = []
    for box in find_faces(models.detector, bgr, thorough):
        landmarks = mesh.refined(models.mesh, bgr, mesh.Square.around(box))
        if landmarks is None:
            continue
        away = [math.dist(_middle(landmarks), _middle(other)) / b.width for b, other in found]
        if min(away, default=1.0) > _ONE_FACE:
            found.append((box, landmarks))
    return found


def _middle(landmarks: Points) -> tuple[float, float]:
    x, y = landmarks[:, :2].mean(axis=0)
    return float(x), float(y)


def _only(found: Sequence[FaceBox]) -> tuple[FaceBox, tuple[str, ...]]:
    if not found:
        raise AvatarRefused(NO_FACE)
    beside = [box for box in found if box.width >= _ALSO_THERE * found[0].width]
    if len(beside) > 1:
        raise AvatarRefused(f"{len(beside)} faces were found; an avatar has one")
    if len(found) > 1:
        return found[0], ("a smaller face in the background is left as it is",)
    return found[0], ()


def check_turned(yaws_deg: Sequence[float]) -> tuple[str, ...]:
    """Warnings about a face that looks aside.

    Args:
        yaws_deg: of the pictures.

    Raises:
        AvatarRefused: in a fifth of the pictures or more it is seen from the side.
    """
    worst = float(np.percentile(np.abs(yaws_deg), 80))
    if worst > _PROFILE_DEG:
        raise AvatarRefused(
            f"the face is turned aside by {worst:.0f} degrees; it has to look into the camera"
        )
    if worst > _TURNED_DEG:
        return (f"the face is turned aside by {worst:.0f} degrees; less looks better",)
    return ()


def _check_upright(handles: Handles, detected_tilt: float) -> None:
    across = np.subtract(handles.right_eye, handles.left_eye)
    tilt_deg = math.degrees(math.atan2(across[1], across[0]))
    worst = max(abs(tilt_deg), abs(math.degrees(detected_tilt)) - 10)
    if worst > _TILTED_DEG:
        raise AvatarRefused(f"the head is tilted by {worst:.0f} degrees; it has to be upright")


def check_mouth(width_px: float) -> tuple[str, ...]:
    """Warnings about a small mouth.

    Raises:
        AvatarRefused: it is too small to be opened.
    """
    if width_px < SMALLEST_MOUTH_PX:
        raise AvatarRefused(
            f"the face is too small: its mouth is {width_px:.0f} pixels wide, "
            f"{SMALLEST_MOUTH_PX:.0f} are needed and {GOOD_MOUTH_PX:.0f} look good"
        )
    if width_px < GOOD_MOUTH_PX:
        return (f"the mouth is {width_px:.0f} pixels wide; {GOOD_MOUTH_PX:.0f} look better",)
    return ()
