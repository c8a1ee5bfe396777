"""Where a face's lips are in a captured picture, and how they look shut: what a measure needs.

A drawn presenter's are in its drawings; those of an avatar made of a picture or a clip are found by
having its engine draw the idle loop, since a clip's head moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import idle_media
from benchmarks.capture import Luma
from benchmarks.rig import Size
from gpu_pool.contracts import PictureFormat
from gpu_pool.engines.mouth.phonemes import SHUT
from gpu_pool.engines.photo import load
from gpu_pool.engines.photo.body import Body, ClipBody, StillBody
from gpu_pool.engines.photo.lips import Lips
from gpu_pool.engines.presenter import REST, STILL, Mouth, Presenter
from gpu_pool.engines.presenter.sheet import read_sheet
from gpu_pool.engines.presenter.stage import Place

LIPS_ROWS, LIPS_COLUMNS = (0.2, 0.7), (0.25, 0.75)
"""Parts of the box that changes with the mouth: more of it is cheek, which moves with the head."""

ABOVE, BELOW, ASIDE = 0.25, 0.5, 0.5
"""What a photograph's lips reach around their middle, in widths of the mouth."""

PRESSED = (Mouth(press=1.0), Mouth(press=0.6, open=SHUT), Mouth(press=0.6, wide=0.2))
"""Lips that meet are drawn pressed where p, b or m is heard, thinner than lips at rest."""


@dataclass(frozen=True, slots=True)
class Face:
    """``rows`` and ``columns`` of the luma in which the lips move; ``shut`` is how they look
    there while they are shut, uint8 (pictures, rows, columns)."""

    rows: slice
    columns: slice
    shut: Luma

    def look(self, luma: Luma) -> Luma:
        """The lips' part of a picture."""
        return luma[self.rows, self.columns]


def drawn_face(presenter: str, size: Size) -> Face:
    """A presenter's, in a dozen poses of the idle loop."""
    atlas = idle_media.atlas(presenter, size.width, size.height)
    sheet = read_sheet(atlas)
    place, box = Place.of(sheet, size.width, size.height), sheet.boxes["mouth"]
    x, y = place.origin(sheet)
    first, last = (round(y + (box.top + part * box.height) * place.size) for part in LIPS_ROWS)
    left, right = (round(x + (box.left + part * box.width) * place.size) for part in LIPS_COLUMNS)
    rows, columns = slice(first, last), slice(left, right)
    drawn = Presenter.load(atlas, size.width, size.height)
    ticks = range(0, drawn.loop_ticks(size.fps), size.fps)
    shut = [
        drawn.picture(tick, size.fps, lips)[: size.height][rows, columns]
        for lips in PRESSED
        for tick in ticks
    ]
    return Face(rows, columns, np.stack(shut))


def photographed_face(files: Path, size: Size) -> Face:
    """That of an avatar's folder, all along its idle loop."""
    fmt = PictureFormat(size.width, size.height, size.fps)
    body = load(files, fmt)
    rows, columns = around(body, fmt)
    out = body.picture(0, size.fps)
    shut = []
    for tick in unlike_ticks(body, size.fps):
        for lips in (REST, PRESSED[0]):
            body.draw(out, tick, size.fps, lips, STILL)
            shut.append(out[: size.height][rows, columns].copy())
    return Face(rows, columns, np.stack(shut))


def unlike_ticks(body: Body, fps: int) -> Iterable[int]:
    """Ticks of the idle loop whose pictures differ: all of a clip's, five a second of a sway."""
    ticks = range(body.loop_ticks(fps))
    if isinstance(body, ClipBody):
        return {body.number_at(tick, fps): tick for tick in ticks}.values()
    return ticks[:: max(1, fps // 5)]


def around(body: Body, fmt: PictureFormat) -> tuple[slice, slice]:
    """Luma rows and columns in which the lips move, wherever the head goes."""
    every = [lips_at(body, tick, fmt.fps) for tick in range(body.loop_ticks(fmt.fps))]
    unit, centres = every[0].unit_px, np.stack([lips.centre for lips in every])
    (left, top), (right, bottom) = centres.min(axis=0), centres.max(axis=0)
    rows = slice(max(0, int(top - ABOVE * unit)), min(fmt.height, int(bottom + BELOW * unit)))
    columns = slice(max(0, int(left - ASIDE * unit)), min(fmt.width, int(right + ASIDE * unit)))
    return rows, columns


def lips_at(body: Body, tick: int, fps: int) -> Lips:
    """The mouth of a tick's picture, in the channel's pixels; sway of a photograph left out."""
    if isinstance(body, ClipBody):
        return body._lips(body.number_at(tick, fps))
    assert isinstance(body, StillBody)
    lips, over = body._lips, float(body._over[0])
    return Lips(
        lips.centre / over, lips.turn, lips.unit_px / over, lips.half, lips.upper, lips.lower,
        lips.upper_thick, lips.lower_thick, lips.nose, lips.chin,
    )  # fmt: skip
