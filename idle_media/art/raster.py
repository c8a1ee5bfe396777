"""From SVG to pixels: resvg draws, numpy stacks.

Pictures are float32 BGRA of shape (height, width, 4), premultiplied, 0..1: stacking neither rounds
nor leaves fringes.
"""

from __future__ import annotations

import cv2
import numpy as np
import resvg_py
from numpy.typing import NDArray

from idle_media.art.svg import Canvas

View = tuple[float, float, float, float]
Picture = NDArray[np.float32]


def draw(canvas: Canvas, view: View, width: int, height: int, finer: int = 1) -> Picture:
    """Draw ``view`` (x, y, width, height in units), ``finer`` times larger and averaged down."""
    svg = canvas.svg(view, width * finer, height * finer)
    png = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    straight = cv2.imdecode(np.frombuffer(bytes(png), np.uint8), cv2.IMREAD_UNCHANGED)
    assert straight is not None, "resvg answers with a PNG"
    picture = np.asarray(straight, np.float32) / np.float32(255)
    picture[..., :3] *= picture[..., 3:]
    if finer > 1:
        return np.asarray(
            cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32
        )
    return picture


def over(below: Picture, above: Picture) -> Picture:
    """Stack two premultiplied pictures."""
    return np.asarray(above + below * (1 - above[..., 3:]), np.float32)
