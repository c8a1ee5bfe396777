"""An atlas as it lies on disk: one WebP with every sprite, one JSON that says where they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.presenter.values import AtlasError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Box:
    """Left, top, width, height in atlas pixels from the point between the eyes; all even."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The decoded atlas.

    Attributes:
        pixels: BGRA, straight alpha, uint8, shape (rows, columns, 4).
        width: of the whole composition, in pixels.
        height: of the whole composition, in pixels.
        scale: pixels per head unit.
        head: the pixel between the eyes.
        boxes: where ``body``, ``head``, ``mouth`` and ``eyes`` lie.
        at: upper left corners of the sprites in ``pixels``.
        steps: parameter values of the sprites, in ascending order.
        jaw_drop: head units that the chin falls at the widest mouth.
        rest_lid: height of the lids when nothing happens, 0..1.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    scale: float
    head: tuple[int, int]
    boxes: Mapping[str, Box]
    at: Mapping[str, Any]
    steps: Mapping[str, Sequence[float]]
    jaw_drop: float
    rest_lid: float

    def cut(self, corner: Sequence[int], width: int, height: int) -> NDArray[np.uint8]:
        """One sprite, BGRA."""
        left, top = corner
        return self.pixels[top : top + height, left : left + width]

    def sprite(self, part: str, corner: Sequence[int]) -> NDArray[np.uint8]:
        """One sprite of the size of a part's box, BGRA."""
        box = self.boxes[part]
        return self.cut(corner, box.width, box.height)


def read_sheet(atlas: Path) -> Sheet:
    """Decode an atlas.

    Raises:
        AtlasError: a file is missing or damaged, or of a format that this renderer does not know.
    """
    try:
        encoded = np.fromfile(atlas, np.uint8)
        table = json.loads(atlas.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AtlasError(f"{atlas}: {error}") from error
    if table.get("format") != FORMAT:
        raise AtlasError(f"{atlas}: format {table.get('format')}, this renderer reads {FORMAT}")
    pixels = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        raise AtlasError(f"{atlas}: not a picture with transparency")
    return Sheet(
        pixels=np.asarray(pixels, np.uint8),
        width=table["width"],
        height=table["height"],
        scale=table["scale"],
        head=(table["head"][0], table["head"][1]),
        boxes={name: Box(**box) for name, box in table["boxes"].items()},
        at=table["at"],
        steps=table["steps"],
        jaw_drop=table["jaw_drop"],
        rest_lid=table["rest_lid"],
    )
