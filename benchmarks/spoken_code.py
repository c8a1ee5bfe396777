"""Sound that says which task it is and where in it: two tones that a recording can be asked about.

One tone names the task, the other one the fifth of a second within it. What a viewer heard is thus
read back from the stream alone, whatever the station says of itself.
"""

from __future__ import annotations

import io
import itertools
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from tests.doubles.rtmp_sink import SinkSession
from tests.oracles.flv_check import AUDIO, VIDEO

RATE = 48_000
SYMBOL_S = 0.2
_TASKS, _PLACES = 12, 40
"""So many tones each: tasks and places are counted on from what was heard before."""

_WINDOW = 1920
_HOP = 960
_FIRST_TASK_HZ, _FIRST_PLACE_HZ, _STEP_HZ = 500.0, 3000.0, 150.0
_LEVEL = 0.15
_AUDIBLE = 0.3
"""Of the level: where two symbols meet, a window holds half of each."""


def wav(number: int, seconds: float) -> bytes:
    """Task ``number`` as a WAV file; ``seconds`` is a multiple of ``SYMBOL_S``."""
    samples = round(seconds * RATE)
    at = np.arange(samples) / RATE
    place = (np.arange(samples) // round(SYMBOL_S * RATE)) % _PLACES
    sound = np.sin(2 * np.pi * _task_hz(number % _TASKS) * at)
    sound += np.sin(2 * np.pi * (_FIRST_PLACE_HZ + _STEP_HZ * place) * at)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((sound * _LEVEL * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _task_hz(number: int) -> float:
    return _FIRST_TASK_HZ + _STEP_HZ * number


@dataclass(frozen=True, slots=True)
class Heard:
    """An unbroken stretch of one symbol: ``at_s`` within its session."""

    task: int
    place: int
    at_s: float
    lasted_s: float


def sound_of(session: SinkSession) -> NDArray[np.float32]:
    """What a viewer of a session heard, mono."""
    messages = [m for m in list(session.messages) if m.kind == AUDIO]
    config = next(m.body[2:] for m in messages if m.is_header)
    context = av.CodecContext.create("aac", "r")
    context.extradata = config
    bodies = (m.body[2:] for m in messages if not m.is_header and len(m.body) > 2)
    frames = [f.to_ndarray()[0] for body in bodies for f in context.decode(av.Packet(body))]
    return np.concatenate(frames) if frames else np.zeros(0, np.float32)


def read(sound: NDArray[np.float32]) -> list[Heard]:
    """The symbols in a sound, tasks and places still without their turns (``count_on``)."""
    windows = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    hann = np.hanning(_WINDOW).astype(np.float32)
    task_tones = _task_hz(0) + _STEP_HZ * np.arange(_TASKS)
    place_tones = _FIRST_PLACE_HZ + _STEP_HZ * np.arange(_PLACES)
    at = np.arange(_WINDOW) / RATE
    tones = np.concatenate([task_tones, place_tones])
    probes = (np.exp(-2j * np.pi * tones[:, None] * at) * hann).astype(np.complex64)
    found: list[tuple[int, int] | None] = []
    for first in range(0, len(windows), 2000):
        level = np.abs(windows[first : first + 2000] @ probes.T) / (hann.sum() / 2)
        tasks, places = level[:, :_TASKS], level[:, _TASKS:]
        clear = (tasks.max(1) > _AUDIBLE * _LEVEL) & (places.max(1) > _AUDIBLE * _LEVEL)
        pairs = zip(tasks.argmax(1), places.argmax(1), clear, strict=True)
        found += [(int(task), int(place)) if ok else None for task, place, ok in pairs]
    heard, index = [], 0
    for symbol, run in itertools.groupby(found):
        count = len(list(run))
        if symbol is not None and count > 1:  # a single window is the seam between two symbols
            heard.append(Heard(*symbol, index * _HOP / RATE, count * _HOP / RATE))
        index += count
    return heard


@dataclass
class Account:
    """What was heard of the tasks, over all sessions.

    Attributes:
        order: tasks in the order in which their beginnings were heard, each once.
        missing: symbols of a task never heard, by task.
        again: how far back a task went, in seconds, each time that it did.
        restarted: tasks that began from the start though more than a second had been heard.
        strayed: tasks that were heard after a later one had begun.
    """

    order: list[int]
    missing: dict[int, list[int]]
    again: list[float]
    restarted: list[int]
    strayed: list[int]


def account(sessions: Iterable[Sequence[Heard]], symbols: Sequence[int]) -> Account:
    """Judge what was heard of tasks with so many symbols each, said in this order."""
    order: list[int] = []
    places: dict[int, set[int]] = {}
    again, restarted, strayed = [], [], []
    last = -1
    for each in itertools.chain.from_iterable(sessions):
        newest = order[-1] if order else 0
        task = _nearest(each.task, newest, _TASKS)
        if not 0 <= task < len(symbols):
            strayed.append(task)
            continue
        if not order or task > newest:
            order.append(task)
            last = -1
        elif task < newest:
            strayed.append(task)
            continue
        short = symbols[task] <= _PLACES
        place = each.place if short else _nearest(each.place, last + 1, _PLACES)
        if place <= last - 1:
            again.append((last + 1 - place) * SYMBOL_S)
            if place == 0 and last * SYMBOL_S > 1.0:
                restarted.append(task)
        places.setdefault(task, set()).add(place)
        last = place
    missing = {
        task: gone
        for task, count in enumerate(symbols)
        if (gone := sorted(set(range(count)) - places.get(task, set())))
    }
    return Account(order, missing, again, restarted, strayed)


def _nearest(residue: int, about: int, modulus: int) -> int:
    """The number nearest to ``about`` that leaves ``residue``."""
    return about + (residue - about + modulus // 2) % modulus - modulus // 2


def still_pictures(session: SinkSession, spans: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Pictures within ``spans`` (seconds of the session), and those that equal the one before.

    The picture behind an IDR is not counted: at a low rate the encoder has nothing left for it.
    """
    messages = [m for m in list(session.messages) if m.kind == VIDEO and len(m.body) > 5]
    context = av.CodecContext.create("h264", "r")
    context.extradata = next(m.body[5:] for m in messages if m.is_header)
    context.thread_count = 1
    media = [m for m in messages if m.body[1] == 1]
    base, before, count, still, idr = media[0].timestamp, None, 0, 0, False
    for message in media:
        for frame in context.decode(av.Packet(message.body[5:])):
            plane = frame.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : frame.width]
            at_s = (message.timestamp - base) / 1000
            inside = any(start <= at_s < end for start, end in spans)
            if before is not None and inside and not idr:
                count += 1
                still += bool(np.array_equal(luma, before))
            before, idr = luma.copy(), message.is_idr
    return count, still
