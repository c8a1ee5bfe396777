"""The bake: draws every sprite of a presenter and packs them into one WebP and one JSON.

``broadcaster presenter bake`` runs it at development time; what it writes is committed. The JSON
keeps a digest of the drawings, so that a test can tell when the atlas is out of date.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from idle_media.art import drawings, layout
from idle_media.art.layout import Box, Composition
from idle_media.art.mouth import JAW_DROP, Shape
from idle_media.art.palette import Look
from idle_media.art.raster import Picture, draw, over
from idle_media.art.svg import Canvas

FORMAT = 1
WEBP_QUALITY = 94
"""Skin shows no blocks, and the largest atlas stays well under 1.5 MB."""

_SHEET_WIDTH = 1920


def bake(look: Look, comp: Composition, folder: Path) -> tuple[Path, Path]:
    """Draw and write ``<orientation>.webp`` and ``.json``; returns both paths."""
    sheet = _Sheet()
    boxes = {
        "studio": sheet.add([_studio(look, comp)])[0],
        "body": sheet.add([_part(comp, layout.body_box(comp), drawings.body(look))])[0],
    }
    head = _Head(look, comp)
    boxes["head"] = sheet.add([head.whole()])[0]
    mouths = {
        group: sheet.add([head.mouth(shape) for shape in shapes])
        for group, shapes in layout.mouth_shapes().items()
    }
    eyes = sheet.add(
        [head.eyes(lid, gaze) for lid in layout.LID_STEPS for gaze in layout.GAZE_STEPS]
    )
    table = _table(look, comp) | {"at": boxes | {"mouth": mouths, "eyes": eyes}}
    folder.mkdir(parents=True, exist_ok=True)
    atlas, placement = folder / f"{comp.name}.webp", folder / f"{comp.name}.json"
    atlas.write_bytes(_webp(sheet.picture()))
    placement.write_text(json.dumps(table, separators=(",", ":")) + "\n", encoding="utf-8")
    return atlas, placement


def _table(look: Look, comp: Composition) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "presenter": look.name,
        "drawings": drawings.digest(look, comp),
        "width": comp.width,
        "height": comp.height,
        "scale": comp.scale,
        "head": comp.head,
        "jaw_drop": JAW_DROP,
        "rest_lid": drawings.REST_LID,
        "boxes": {name: asdict(box) for name, box in layout.boxes(comp).items()},
        "steps": {
            "open": layout.OPEN_STEPS,
            "spread": layout.SPREAD_STEPS,
            "press": layout.PRESS_SPREADS,
            "tuck": layout.TUCK_OPENS,
            "tongue": layout.TONGUE_OPENS,
            "lid": layout.LID_STEPS,
            "gaze": layout.GAZE_STEPS,
        },
    }


def _studio(look: Look, comp: Composition) -> Picture:
    width, height = layout.size_in_units(comp)
    return draw(drawings.studio(look, comp), (0, 0, width, height), comp.width, comp.height)


def _part(comp: Composition, box: Box, canvas: Canvas) -> Picture:
    return draw(canvas, box.view(comp.scale), box.width, box.height)


class _Head:
    """The head's parts, drawn once; sprites are stacks of them cut to their boxes."""

    def __init__(self, look: Look, comp: Composition) -> None:
        self._look, self._comp = look, comp
        self._box = layout.head_box(comp)
        self._skin = _part(comp, self._box, drawings.skin(look))
        self._top = _part(comp, self._box, drawings.top(look))

    def whole(self) -> Picture:
        """Everything at rest."""
        features = _part(self._comp, self._box, drawings.features(self._look))
        return over(over(self._skin, features), self._top)

    def mouth(self, shape: Shape) -> Picture:
        """Skin and mouth; nothing lies over it."""
        return self._cut(layout.mouth_box(self._comp), drawings.mouth(self._look, shape))

    def eyes(self, lid: float, gaze: float) -> Picture:
        """Skin, eyes, and the hair and brows that reach into their box."""
        return self._cut(layout.eyes_box(self._comp), drawings.eyes(self._look, lid, gaze))

    def _cut(self, box: Box, canvas: Canvas) -> Picture:
        top, left = box.top - self._box.top, box.left - self._box.left
        area = (slice(top, top + box.height), slice(left, left + box.width))
        return over(over(self._skin[area], _part(self._comp, box, canvas)), self._top[area])


class _Sheet:
    """Packs pictures row by row into one sheet as wide as the widest composition."""

    def __init__(self) -> None:
        self._placed: list[tuple[int, int, Picture]] = []
        self._x = self._y = self._row = 0

    def add(self, pictures: list[Picture]) -> list[tuple[int, int]]:
        """Place pictures of one size; returns their upper left corners."""
        corners = []
        for picture in pictures:
            height, width = picture.shape[:2]
            if self._x + width > _SHEET_WIDTH or self._row not in (0, height):
                self._x, self._y, self._row = 0, self._y + self._row, 0
            self._placed.append((self._x, self._y, picture))
            corners.append((self._x, self._y))
            self._x, self._row = self._x + width, height
        return corners

    def picture(self) -> NDArray[np.uint8]:
        """The whole sheet, straight alpha, RGBA, shape (height, width, 4)."""
        width = max(x + picture.shape[1] for x, _, picture in self._placed)
        height = self._y + self._row
        sheet = np.zeros((height, width, 4), np.uint8)
        for x, y, picture in self._placed:
            rows, columns = picture.shape[:2]
            sheet[y : y + rows, x : x + columns] = _straight(picture)
        return sheet


def _straight(picture: Picture) -> NDArray[np.uint8]:
    """Premultiplied BGRA to straight RGBA; colours run on into what is transparent.

    WebP halves the chroma, so an edge would take on the colour of the pixels beyond it.
    """
    alpha = picture[..., 3:]
    colour, weight = picture[..., :3].copy(), alpha.copy()
    for radius in (3, 7, 15, 31):
        kernel = (2 * radius + 1, 2 * radius + 1)
        spread = cv2.blur(picture[..., :3], kernel)
        share = cv2.blur(alpha, kernel)[..., None]
        room = np.clip(1 - weight, 0, 1)
        colour += room * 0.98 * spread / np.maximum(share, 1e-3) * (share > 1e-3)
        weight += room * 0.98 * (share > 1e-3)
    straight = colour / np.maximum(weight, 1e-3)
    # what is all but clear or all but solid becomes so: the renderer then has less to blend
    alpha = np.clip((alpha - 0.012) / 0.976, 0, 1)
    stacked = np.concatenate([straight[..., ::-1], alpha], axis=2)
    return np.asarray((stacked * 255 + 0.5).clip(0, 255), np.uint8)


def _webp(sheet: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet, "RGBA").save(
        file, "WEBP", quality=WEBP_QUALITY, method=6, alpha_quality=100, exact=True
    )
    return file.getvalue()
