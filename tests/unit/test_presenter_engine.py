"""The engine ``presenter``: sound in, pictures of a talking presenter out, however it is cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import idle_media
from gpu_pool.contracts import AvatarRef, Batch, BatchKey, EngineSpec, PictureFormat
from gpu_pool.engines.presenter import Gesture, Presenter
from gpu_pool.engines.presenter.engine import PresenterEngine
from gpu_pool.engines.presenter.gestures import accents, gesture
from gpu_pool.engines.registry import make_engine
from gpu_pool.windows import batch_spans, cut_sound, sound_span

FPS = 25
FORMAT = PictureFormat(320, 180, FPS)
ATLAS = idle_media.atlas("anna", FORMAT.width, FORMAT.height)
PICTURES = 60


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    file = Path(__file__).parents[1] / "fixtures" / "slt.opus"
    sound, rate = soundfile.read(file, dtype="float32")
    mono = sound if sound.ndim == 1 else sound.mean(axis=1)
    return np.ascontiguousarray(mono[:: rate // 16000][: PICTURES * 640], np.float32)


@pytest.fixture(scope="module")
def engine() -> PresenterEngine:
    made = make_engine(EngineSpec("presenter"))
    assert isinstance(made, PresenterEngine)
    made.load("cpu")
    made.prepare(AvatarRef("anna", str(ATLAS), FORMAT))
    return made


def render(
    engine: PresenterEngine, sound: NDArray[np.float32], size: int, **cues: object
) -> NDArray[np.uint8]:
    out = np.zeros((PICTURES, *FORMAT.shape), np.uint8)
    for first, count in batch_spans(PICTURES, size):
        window = cut_sound(sound, 0, sound_span(engine.needs, FPS, first, count))
        told = {"spoken": PICTURES, **cues}
        key = BatchKey("main", "a", 0, first)
        batch = Batch(key, count, "anna", 40 + first, window, cues=told)  # type: ignore[arg-type]
        heard = engine.features(window, first, count, FPS)
        engine.render(batch, heard, list(out[first : first + count]), lambda: False)
    return out


def test_how_a_task_is_cut_into_batches_makes_no_difference(
    engine: PresenterEngine, speech: NDArray[np.float32]
) -> None:
    tens, sevens = render(engine, speech, 10), render(engine, speech, 7)
    off = np.abs(tens.astype(np.int16) - sevens).max(axis=(1, 2))
    assert off.max() <= 2


def test_lips_move_with_speech_and_rest_in_silence(
    engine: PresenterEngine, speech: NDArray[np.float32]
) -> None:
    idle = Presenter.load(ATLAS, FORMAT.width, FORMAT.height)
    quiet = render(engine, np.zeros(PICTURES * 640, np.float32), 10)
    mouth = (slice(95, 135), slice(140, 180))
    spoken = render(engine, speech, 10)

    def away(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        own = np.stack([idle.picture(40 + n, FPS) for n in range(PICTURES)]).astype(np.int16)
        return np.abs(pictures.astype(np.int16) - own)[:, *mouth].mean(axis=(1, 2))

    assert np.percentile(away(spoken), 75) > 3 * away(quiet).max()


def test_phoneme_times_of_a_voice_take_the_place_of_the_network(engine: PresenterEngine) -> None:
    silence = np.zeros(PICTURES * 640, np.float32)
    wide_open = [[1.0, 0.2, 0.0, 0.0, 0.0, 0.0]] * PICTURES
    told = render(engine, silence, PICTURES, mouths=wide_open)
    assert np.abs(told.astype(np.int16) - render(engine, silence, PICTURES)).mean() > 0.05


def test_a_batch_nobody_wants_any_more_is_left_off(engine: PresenterEngine) -> None:
    out = [np.zeros(FORMAT.shape, np.uint8) for _ in range(3)]
    sound = np.zeros(0, np.float32)
    window = cut_sound(sound, 0, sound_span(engine.needs, FPS, 0, 3))
    heard = engine.features(window, 0, 3, FPS)
    asked = iter([False, True])
    batch = Batch(BatchKey("main", "a", 0, 0), 3, "anna", 0, window)
    engine.render(batch, heard, out, lambda: next(asked))
    assert [picture.any() for picture in out] == [True, False, False]


def test_gestures_come_and_go_at_rest() -> None:
    moved = [gesture(n, 100, FPS, 1.0) for n in range(110)]
    assert moved[100:] == [Gesture()] * 10
    for before, after in pairwise(moved):
        for name in ("brow", "nod", "tilt", "turn"):
            assert abs(getattr(after, name) - getattr(before, name)) < 0.1
    assert max(g.nod for g in moved) > 0.3


def test_a_stressed_syllable_is_an_accent_and_steady_noise_is_none() -> None:
    rng = np.random.default_rng(1)
    sound = (0.003 * rng.standard_normal(4 * 16000)).astype(np.float32)
    steady = accents(sound, 0, 30, 40, FPS)
    sound[32000:35200] += 0.2 * np.sin(np.arange(3200) * 0.1, dtype=np.float32)
    stressed = accents(sound, 0, 30, 40, FPS)
    assert steady.max() < 0.2
    assert stressed.max() > 0.6
    assert abs(int(stressed.argmax()) + 30 - 52) <= 4


def test_the_presenter_has_no_options() -> None:
    with pytest.raises(ValueError, match="no options"):
        make_engine(EngineSpec("presenter", {"speed": 2}))
