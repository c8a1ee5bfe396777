"""BGR to Y'CbCr by BT.709, limited range (ITU-R BT.709-6, section 3; 8-bit quantisation)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Planes = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Y of shape (h, w), then U and V of shape (h/2, w/2)."""

_RED, _BLUE = 0.2126, 0.0722
_GREEN = 1 - _RED - _BLUE
_LUMA = np.array([_BLUE, _GREEN, _RED])
_TO_Y = np.append(_LUMA * 219 / 255, 16.0)
_TO_U = np.append((np.array([1.0, 0.0, 0.0]) - _LUMA) / (2 * (1 - _BLUE)) * 224 / 255, 128.0)
_TO_V = np.append((np.array([0.0, 0.0, 1.0]) - _LUMA) / (2 * (1 - _RED)) * 224 / 255, 128.0)
TO_YUV = np.stack([_TO_Y, _TO_U, _TO_V]).astype(np.float32)


def planes(bgr: NDArray[Any]) -> Planes:
    """The three planes of a BGR picture of even size, in its own type (uint8 or float32 0..255)."""
    height, width = bgr.shape[:2]
    half = cv2.resize(bgr, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    luma = cv2.transform(bgr, TO_YUV[:1])
    chroma = cv2.transform(half, TO_YUV[1:])
    return luma, np.ascontiguousarray(chroma[..., 0]), np.ascontiguousarray(chroma[..., 1])


def times(plane: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A plane multiplied by an opacity of 0..255."""
    return np.asarray(cv2.multiply(plane, opacity, scale=1 / 255), np.uint8)


def packed(parts: Planes) -> NDArray[Any]:
    """Planes one after the other, flat: one array that can be blended in one go."""
    return np.concatenate([part.reshape(-1) for part in parts])


def unpack(flat: NDArray[Any], height: int, width: int) -> Planes:
    """Views of the planes in a packed picture."""
    luma, chroma = height * width, height * width // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )
