"""Smoothing of points over a clip: the One-Euro filter, run both ways so that nothing lags.

Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012: a low pass whose cut-off rises with speed, so
still points stand still and quick lips stay quick.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.face.values import Points

_SLOWEST_HZ = 1.2
"""Cut-off for what stands still: takes away the network's tremble of some tenths of a pixel."""

_PER_SPEED = 8.0
"""Hz of cut-off per face unit (a mouth's width) a second."""

_SPEED_HZ = 4.0
"""Cut-off of the speed itself."""


def smoothed(points: Points, fps: float, unit_px: float) -> Points:
    """Points of a clip, smoothed over time.

    Args:
        points: float32 (pictures, points, 2).
        fps: pictures per second.
        unit_px: the mouth's width; speeds are judged in it.
    """
    ahead = _one_way(points, fps, unit_px)
    back = _one_way(points[::-1], fps, unit_px)[::-1]
    return ((ahead + back) / 2).astype(np.float32)


def _one_way(points: Points, fps: float, unit_px: float) -> NDArray[np.float64]:
    found = np.empty(points.shape, np.float64)
    found[0] = points[0]
    speed = np.zeros(points.shape[1:], np.float64)
    for index in range(1, len(points)):
        last = found[index - 1]
        now = (points[index].astype(np.float64) - points[index - 1]) * (fps / unit_px)
        speed += (now - speed) * _share(np.float64(_SPEED_HZ), fps)
        cutoff_hz = _SLOWEST_HZ + _PER_SPEED * np.hypot(speed[:, 0], speed[:, 1])
        found[index] = last + (points[index] - last) * _share(cutoff_hz, fps)[:, None]
    return found


def _share(cutoff_hz: NDArray[np.float64] | np.float64, fps: float) -> NDArray[np.float64]:
    """How far a low pass of the first order goes towards a new value."""
    turn = 2 * math.pi * cutoff_hz / fps
    return np.asarray(turn / (turn + 1))
