"""The station's own pictures: the slate and the moving test card, drawn with OpenCV.

The card carries a frame counter, in figures and as a bar code of eight cells, and once a second a
white flash with a beep: whoever looks at a recording can tell which picture is which and whether
sound and picture agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from broadcaster.formats import EncodeFormat, VideoFormat

CARD_SECONDS = 8
"""At 48 kHz eight seconds are 375 AAC slots exactly, so the card's sound loops as packets."""

CODE_BITS = 9
"""Cells of the bar code: 2^9 pictures cover the loop at 30 fps."""

BEEP_HZ, BEEP_S, BEEP_PEAK = 1000, 0.08, 0.125
"""The tone of each flash; -18 dBFS, the broadcaster's line-up level."""

_BARS = (
    (191, 191, 191), (0, 191, 191), (191, 191, 0), (0, 191, 0),
    (191, 0, 191), (0, 0, 191), (191, 0, 0),
)  # fmt: skip
_INK = (236, 236, 236)
_FONT = cv2.FONT_HERSHEY_DUPLEX


def to_i420(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BGR to I420 by BT.709, limited range, as the stream's headers say."""
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
    converted = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    return np.ascontiguousarray(converted.to_ndarray())


def _text(picture: NDArray[np.uint8], words: str, centre: tuple[int, int], height: int) -> None:
    scale = cv2.getFontScaleFromHeight(_FONT, max(6, height), 1)
    thick = max(1, height // 18)
    (width, tall), _ = cv2.getTextSize(words, _FONT, scale, thick)
    room = int(0.9 * picture.shape[1])
    if width > room:  # an upright picture, or a long name
        scale *= room / width
        (width, tall), _ = cv2.getTextSize(words, _FONT, scale, thick)
    at = (centre[0] - width // 2, centre[1] + tall // 2)
    cv2.putText(picture, words, at, _FONT, scale, _INK, thick, cv2.LINE_AA)


def draw_slate(video: VideoFormat, station: str, channel: str) -> NDArray[np.uint8]:
    """The last resort: a still card that needs no file. BGR, shape (height, width, 3)."""
    height, width = video.height, video.width
    across = np.linspace(0.0, 1.0, width)[None, :, None]
    down = np.linspace(0.0, 1.0, height)[:, None, None]
    ground = (
        np.array([58.0, 34.0, 22.0]) * (1.15 - 0.55 * down) + np.array([26.0, 12.0, 0.0]) * across
    )
    picture = np.ascontiguousarray(ground.clip(0, 255).astype(np.uint8))
    middle = width // 2
    _text(picture, station, (middle, int(height * 0.42)), height // 11)
    _text(picture, f"{channel} - back in a moment", (middle, int(height * 0.56)), height // 26)
    rule = int(height * 0.49)
    cv2.line(picture, (middle - width // 8, rule), (middle + width // 8, rule), (214, 160, 60), 2)
    return picture


def _card_base(video: VideoFormat, channel: str) -> NDArray[np.uint8]:
    height, width = video.height, video.width
    picture = np.full((height, width, 3), 24, np.uint8)
    edges = np.linspace(0, width, len(_BARS) + 1).astype(int)
    for colour, left, right in zip(_BARS, edges, edges[1:], strict=False):
        picture[: int(height * 0.42), left:right] = colour
    ramp = np.linspace(16, 235, width).astype(np.uint8)
    picture[int(height * 0.42) : int(height * 0.47)] = ramp[None, :, None]
    label = f"{channel}  {width}x{height}  {video.fps} fps"
    _text(picture, label, (width // 2, int(height * 0.93)), height // 28)
    return picture


def _draw_code(picture: NDArray[np.uint8], index: int) -> None:
    height, width = picture.shape[:2]
    cell = width // (CODE_BITS + 3)
    top, bottom = int(height * 0.80), int(height * 0.87)
    left = (width - cell * CODE_BITS) // 2
    for bit in range(CODE_BITS):
        value = 235 if index >> (CODE_BITS - 1 - bit) & 1 else 16
        picture[top:bottom, left + bit * cell : left + (bit + 1) * cell] = value


def read_code(luma: NDArray[np.uint8]) -> int:
    """The index in the bar code of a decoded card, from its luma plane, shape (height, width)."""
    height, width = luma.shape
    cell = width // (CODE_BITS + 3)
    left = (width - cell * CODE_BITS) // 2
    row = luma[int(height * 0.82) : int(height * 0.85)]
    index = 0
    for bit in range(CODE_BITS):
        middle = left + bit * cell + cell // 2
        index = index << 1 | int(row[:, middle - cell // 4 : middle + cell // 4].mean() > 125)
    return index


def card_ticks(fmt: EncodeFormat) -> int:
    """Pictures of the card's loop: a whole number of GOPs, 8 s where the GOP divides it."""
    wanted = CARD_SECONDS * fmt.video.fps
    return max(1, round(wanted / fmt.gop_ticks)) * fmt.gop_ticks


def draw_card(fmt: EncodeFormat, channel: str) -> Iterator[NDArray[np.uint8]]:
    """The pictures of the test card, I420, one loop."""
    video, ticks = fmt.video, card_ticks(fmt)
    base = _card_base(video, channel)
    height, width = video.height, video.width
    hub, radius = (width // 2, int(height * 0.635)), int(height * 0.12)
    for index in range(ticks):
        picture = base.copy()
        turn = 2 * math.pi * index / ticks
        flash = index % video.fps < 2
        cv2.circle(
            picture, hub, radius, (235, 235, 235) if flash else (70, 60, 52), -1, cv2.LINE_AA
        )
        hand = (hub[0] + int(radius * math.sin(turn)), hub[1] - int(radius * math.cos(turn)))
        cv2.line(picture, hub, hand, (60, 160, 240), max(2, height // 160), cv2.LINE_AA)
        side = height // 24
        sweep = int((0.5 - 0.5 * math.cos(2 * turn)) * (width - side))
        picture[int(height * 0.48) : int(height * 0.48) + side // 2, sweep : sweep + side] = _INK
        seconds, rest = divmod(index, video.fps)
        _text(picture, f"{seconds}:{rest:02d}", (width // 5, hub[1]), height // 12)
        _text(picture, f"{index:03d}", (width - width // 5, hub[1]), height // 12)
        _draw_code(picture, index)
        yield to_i420(picture)


def card_sound(fmt: EncodeFormat) -> NDArray[np.float32]:
    """The card's sound, float32 of shape (2, n): a beep at each flash, with soft edges."""
    rate = fmt.audio.sample_rate
    total = card_ticks(fmt) * fmt.samples_per_tick
    length = int(BEEP_S * rate)
    time_s = np.arange(length) / rate
    edge = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.005 * rate))
    beep = (BEEP_PEAK * np.sin(2 * np.pi * BEEP_HZ * time_s) * edge).astype(np.float32)
    sound = np.zeros((2, total), np.float32)
    for start in range(0, total - length, rate):
        sound[:, start : start + length] = beep
    return sound
