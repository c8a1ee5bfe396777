"""The hair styles by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idle_media.art import cropped, waves
from idle_media.art.palette import Look
from idle_media.art.svg import Canvas

Draw = Callable[[Canvas, Look], None]


@dataclass(frozen=True, slots=True)
class Style:
    """What is seen behind neck and shoulders, behind the face, and before it."""

    back: Draw
    under: Draw
    front: Draw


STYLES = {
    "waves": Style(waves.draw_back, waves.draw_under, waves.draw_front),
    "cropped": Style(cropped.draw_back, cropped.draw_under, cropped.draw_front),
}
