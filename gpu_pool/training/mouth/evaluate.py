"""How good a network is, on speakers, voices and languages that it never heard in training.

Last step of the training path. The network is asked as it ships: fp16 weights, numpy, streaming.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import SAMPLE_RATE
from gpu_pool.engines.mouth.net import FRAME, LOOKAHEAD_FRAMES, NetStream, Weights
from gpu_pool.engines.mouth.phonemes import spoken_closures, target_curves, viseme_labels
from gpu_pool.engines.mouth.stream import MouthNet
from gpu_pool.engines.mouth.visemes import SIL, VISEMES
from gpu_pool.training.mouth.corpus import Clip, load
from gpu_pool.training.mouth.disturb import Disturbance

CLOSED = 0.22
"""Opening under which lips count as closed on p, b and m; lips at rest between words are at 0."""

NEAR_S = 0.03
"""A closure may come so much early or late."""

PAUSE_S = 0.25
"""Pauses longer than this must close the mouth."""

LOUD_SEED = 977
TEST_LEVEL = 0.35
"""Peak of the test clips: -9 dBFS."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row of the table; shares in percent.

    ``right`` frames with the right viseme of fifteen; ``corr`` of opening with its reference;
    ``closures`` of p, b, m that close; ``pauses`` frames of pauses that are closed. ``wrong_corr``
    is the control: the same references against the mouth of another clip. ``loud_*`` is the
    trivial mouth that opens with loudness.
    """

    right: float
    corr: float
    wide_corr: float
    round_corr: float
    closures: float
    pauses: float
    wrong_corr: float
    loud_corr: float
    loud_closures: float


@dataclass(frozen=True, slots=True)
class _Heard:
    """A clip: viseme and curves as they should be and as the network says, loudness beside."""

    visemes: NDArray[np.int64]
    curves: NDArray[np.float32]
    told: NDArray[np.float32]
    loud: NDArray[np.float32]
    closures: list[tuple[int, int]]
    pauses: NDArray[np.bool_]


def score(weights: Weights, clips: list[Clip]) -> Score:
    """The row for one set."""
    heard = [_hear(weights, clip) for clip in clips if len(clip.sound) >= 25 * FRAME]
    curves = np.concatenate([each.curves for each in heard])
    told = np.concatenate([each.told for each in heard])
    opening = told[:, len(VISEMES)]
    closures = [
        (each, first, last) for each in heard for first, last in each.closures if last > first
    ]
    pauses = np.concatenate([each.pauses for each in heard])
    right = told[:, : len(VISEMES)].argmax(1) == np.concatenate([each.visemes for each in heard])
    loud = np.concatenate([each.loud for each in heard])
    return Score(
        right=100 * float(right.mean()),
        corr=_corr(curves[:, 0], opening),
        wide_corr=_corr(curves[:, 1], told[:, len(VISEMES) + 1]),
        round_corr=_corr(curves[:, 2], told[:, len(VISEMES) + 2]),
        closures=_share([each.told[a:b, len(VISEMES)].min() for each, a, b in closures]),
        pauses=_share(list(opening[pauses])),
        wrong_corr=_corr(curves[:, 0], np.roll(opening, len(opening) // 2)),
        loud_corr=_corr(curves[:, 0], loud),
        loud_closures=_share([each.loud[a:b].min() for each, a, b in closures]),
    )


def open_without_speech(net: MouthNet, seconds: float = 120) -> dict[str, float]:
    """Percent of pictures open by more than 0.2 while only music or only noise plays."""
    disturbance = Disturbance(LOUD_SEED)
    found = {}
    for name, make in (("music", disturbance.music), ("noise", disturbance.noise)):
        rows = []
        for level_db in (-35, -25, -18, -12):
            for _ in range(max(1, round(seconds / 40))):
                sound = make(10 * SAMPLE_RATE) * np.float32(10 ** (level_db / 20))
                rows.append(net.track(sound, 25)[:, 0])
        found[name] = 100 * float((np.concatenate(rows) > 0.2).mean())
    return found


def table(weights_path: Path, corpus: Path) -> str:
    """Markdown: one row per test set, then the lines about music and noise."""
    weights = Weights.read(str(weights_path))
    lines = [
        "| test set | acc | corr open / wide / round | closures | pauses | wrong sound "
        "| loudness corr / closures |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in sorted(corpus.glob("test_*.npz")):
        row = score(weights, load(path))
        lines.append(
            f"| {path.stem.removeprefix('test_').replace('_', ' ')} | {row.right:.1f} % "
            f"| {row.corr:.3f} / {row.wide_corr:.3f} / {row.round_corr:.3f} "
            f"| {row.closures:.0f} % | {row.pauses:.0f} % | {row.wrong_corr:.2f} "
            f"| {row.loud_corr:.3f} / {row.loud_closures:.0f} % |"
        )
    shares = open_without_speech(MouthNet.load(str(weights_path)))
    lines += ["", *(f"{name} alone: open {share:.2f} %" for name, share in shares.items())]
    return "\n".join(lines)


def _hear(weights: Weights, clip: Clip) -> _Heard:
    frames = len(clip.sound) // FRAME
    sound = clip.sound[: frames * FRAME].astype(np.float32) * np.float32(TEST_LEVEL / 32768)
    behind = np.zeros(LOOKAHEAD_FRAMES * FRAME, np.float32)
    told = NetStream(weights).feed(np.concatenate([sound, behind]))[LOOKAHEAD_FRAMES:]
    at_s = (np.arange(frames) + 0.5) * FRAME / SAMPLE_RATE
    pauses = np.zeros(frames, np.bool_)
    for each in clip.spoken:
        if each.viseme == SIL and each.end_s - each.start_s > PAUSE_S:
            pauses |= (at_s > each.start_s + 0.08) & (at_s < each.end_s - 0.08)
    closures = [
        (max(0, int((a - NEAR_S) * 50)), min(frames, int((b + NEAR_S) * 50) + 1))
        for a, b in spoken_closures(clip.spoken)
    ]
    return _Heard(
        viseme_labels(clip.spoken, at_s),
        target_curves(clip.spoken, at_s),
        told,
        _loudness(sound),
        closures,
        pauses,
    )


def _loudness(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mouth of the simplest avatars: -45 to -10 dBFS as 0 to 1."""
    rms = np.sqrt(np.mean(sound.reshape(-1, FRAME) ** 2, axis=1) / TEST_LEVEL**2)
    opening = np.clip((20 * np.log10(rms + 1e-5) + 45) / 35, 0, 1)
    return np.convolve(opening, np.full(3, 1 / 3), "same").astype(np.float32)


def _corr(reference: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    return float(np.corrcoef(reference, found)[0, 1])


def _share(openings: list[float]) -> float:
    return 100 * float(np.mean(np.array(openings) < CLOSED)) if openings else 100.0
