"""The pose of the idle presenter at any moment: a pure function of the time in a loop of 12 s.

Breath and sway are sines whose periods divide the loop; blinks and glances stand in a table. So the
loop has no seam, whatever the picture rate. It must never read a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gpu_pool.engines.presenter.values import Gesture

LOOP_S = 12

_BLINKS_S = (1.36, 4.44, 4.86, 7.52, 10.24)
"""Irregular, one double, none near the seam: 25 blinks a minute is what people do who talk."""
_CLOSING_S, _SHUT_S, _OPENING_S = 0.09, 0.03, 0.16

_GLANCES_S = (
    (2.10, 0.8),
    (2.95, 0.0),
    (5.90, -0.9),
    (6.85, -0.2),
    (8.30, 0.0),
    (9.30, 0.6),
    (10.24, 0.0),
)
"""When the gaze goes where; several fall together with a blink, as they do."""
_GLANCE_S = 0.07

_BROW_UNITS, _NOD_DEG, _TILT_DEG, _TURN_DEG = 5.0, 4.5, 3.0, 5.0
"""What gestures of 1 do; more would show that the head is flat."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Lengths in head units, angles in degrees.

    Attributes:
        breath: 0 out .. 1 in.
        x: shift of the head to the right.
        y: shift of the head down.
        roll: clockwise.
        yaw: the face turns to the picture's right.
        pitch: the face turns down.
        lid: 0 shut .. 1 as at rest; above 1 wide.
        gaze: -1 .. 1, to the picture's right.
        brow: units up.
        hair: units that the tips swing to the right.
    """

    breath: float
    x: float
    y: float
    roll: float
    yaw: float
    pitch: float
    lid: float
    gaze: float
    brow: float
    hair: float


def _wave(turn: float, harmonic: int, phase: float) -> float:
    return math.sin(harmonic * turn + phase)


def pose_at(tick: int, fps: int, gesture: Gesture) -> Pose:
    """The pose of a tick; ticks a whole loop apart give equal poses, bit by bit."""
    ticks = tick % (LOOP_S * fps)
    time_s, turn = ticks / fps, 2 * math.pi * ticks / (LOOP_S * fps)
    breath = _breath(turn)
    lid = lid_at(time_s)
    brow, nod, tilt, turned = (
        min(1.0, max(-1.0, value))
        for value in (gesture.brow, gesture.nod, gesture.tilt, gesture.turn)
    )
    yaw = -0.9 + 1.5 * _wave(turn, 1, 0.4) + 0.7 * _wave(turn, 3, 1.9) + 0.3 * _wave(turn, 5, 0.2)
    return Pose(
        breath=breath,
        x=1.5 * _wave(turn, 1, 0.2) + 0.5 * _wave(turn, 3, 1.7),
        y=0.6 * _wave(turn, 2, 0.9) - 1.1 * breath + 1.2 * nod,
        roll=0.45 * _wave(turn, 1, 1.3) + 0.25 * _wave(turn, 2, 2.6) + _TILT_DEG * tilt,
        yaw=yaw + _TURN_DEG * turned,
        pitch=0.8 * _wave(turn, 2, 2.2) + 0.4 * _wave(turn, 5, 1.0) + _NOD_DEG * nod,
        lid=lid + 0.10 * max(0.0, brow),
        gaze=gaze_at(time_s),
        brow=_BROW_UNITS * brow - 0.7 * (1 - lid) + 0.4 * _wave(turn, 3, 0.5),
        # the tips follow the head a little later
        hair=1.1 * _wave(turn, 1, -0.3) + 0.6 * _wave(turn, 3, 0.9) - 1.5 * tilt - 1.0 * turned,
    )


def _breath(turn: float) -> float:
    """Three breaths a loop: in quicker than out, with a rest."""
    phase = 3 * turn
    return 0.5 - 0.5 * math.cos(phase + 0.45 * math.sin(phase))


def _ease(part: float) -> float:
    part = min(1.0, max(0.0, part))
    return part * part * (3 - 2 * part)


def lid_at(time_s: float) -> float:
    """Height of the lids, 1 at rest, 0 in the middle of a blink."""
    height = 1.0
    for start in _BLINKS_S:
        since = time_s - start
        closing = _ease(since / _CLOSING_S)
        opening = _ease((since - _CLOSING_S - _SHUT_S) / _OPENING_S)
        height = min(height, 1 - closing + opening)
    return height


def gaze_at(time_s: float) -> float:
    """Where the eyes look: quick steps between rests."""
    gaze = 0.0
    for start, target in _GLANCES_S:
        gaze += (target - gaze) * _ease((time_s - start) / _GLANCE_S)
    return gaze
