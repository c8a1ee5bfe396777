"""Every drawing of a presenter as a canvas, and a digest of them all.

The digest tells whether an atlas is out of date; it takes no rasteriser, only this package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from idle_media.art import layout
from idle_media.art.body import draw_body
from idle_media.art.eyes import draw_eyes
from idle_media.art.face import draw_brows, draw_face
from idle_media.art.hair import STYLES
from idle_media.art.layout import Composition
from idle_media.art.mouth import Shape, draw_mouth
from idle_media.art.palette import Look
from idle_media.art.studio import draw_studio
from idle_media.art.svg import Canvas

REST_LID = 0.86
"""Lids all the way up stare."""


def studio(look: Look, comp: Composition) -> Canvas:
    """The room, in frame units."""
    canvas = Canvas()
    width, height = layout.size_in_units(comp)
    draw_studio(canvas, look, width, height, layout.origin_in_units(comp))
    return canvas


def body(look: Look) -> Canvas:
    """What stands behind the head and moves with the breath."""
    canvas = Canvas()
    STYLES[look.hair_style].back(canvas, look)
    draw_body(canvas, look)
    return canvas


def skin(look: Look) -> Canvas:
    """The head below eyes and mouth."""
    canvas = Canvas()
    STYLES[look.hair_style].under(canvas, look)
    draw_face(canvas, look)
    return canvas


def top(look: Look) -> Canvas:
    """The head above eyes and mouth."""
    canvas = Canvas()
    STYLES[look.hair_style].front(canvas, look)
    draw_brows(canvas, look)
    return canvas


def features(look: Look) -> Canvas:
    """Eyes and mouth at rest."""
    canvas = eyes(look, REST_LID, 0.0)
    draw_mouth(canvas, look, Shape())
    return canvas


def mouth(look: Look, shape: Shape) -> Canvas:
    """One mouth."""
    canvas = Canvas()
    draw_mouth(canvas, look, shape)
    return canvas


def eyes(look: Look, lid: float, gaze: float) -> Canvas:
    """Both eyes."""
    canvas = Canvas()
    draw_eyes(canvas, look, lid, gaze * layout.GAZE_UNIT)
    return canvas


def digest(look: Look, comp: Composition) -> str:
    """SHA-256 over all drawings of an atlas and where they lie."""
    found = hashlib.sha256(repr(comp).encode())
    for box in layout.boxes(comp).values():
        found.update(repr(box).encode())
    for canvas in _all(look, comp):
        found.update(canvas.svg((0, 0, 1, 1), 1, 1).encode())
    return found.hexdigest()


def _all(look: Look, comp: Composition) -> Iterator[Canvas]:
    yield studio(look, comp)
    yield from (draw(look) for draw in (body, skin, top, features))
    for shapes in layout.mouth_shapes().values():
        yield from (mouth(look, shape) for shape in shapes)
    for lid in layout.LID_STEPS:
        yield from (eyes(look, lid, gaze) for gaze in layout.GAZE_STEPS)
