"""Points of a clip after its handles were dragged in the first picture.

At import of an avatar only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.points import from_handles, handles_of
from gpu_pool.engines.face.values import Handles, Points


def rehandled(points: Points, handles: Handles) -> Points:
    """Points (pictures, POINTS, 2) whose first picture has these handles.

    In later pictures the handles lie where the face has carried them: as far from what was found
    as in the first one, turned and scaled with the eyes and the mouth.
    """
    found = np.stack([handles_of(each).array() for each in points]).astype(np.float64)
    shift = handles.array() - found[0]
    first = _axes(found[0])
    made = []
    for own in found:
        carried = own + shift @ np.linalg.inv(first) @ _axes(own)
        moved = Handles(*((float(x), float(y)) for x, y in carried))
        made.append(from_handles(moved))
    return np.stack(made).astype(np.float32)


def _axes(own: NDArray[np.float64]) -> NDArray[np.float64]:
    """A face's directions, as long as its eyes are apart from its mouth; rows across and down."""
    down = (own[2] + own[3]) / 2 - (own[0] + own[1]) / 2
    return np.array([[down[1], -down[0]], down])
