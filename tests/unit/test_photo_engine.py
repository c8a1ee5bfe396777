"""The engine ``photo``: sound in, pictures of a talking portrait out, however it is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from gpu_pool.contracts import AvatarRef, Batch, BatchKey, EngineSpec, PictureFormat
from gpu_pool.engines.face import AvatarRefused
from gpu_pool.engines.photo import Body, create_avatar, load
from gpu_pool.engines.photo.engine import PhotoEngine
from gpu_pool.engines.registry import make_engine
from gpu_pool.windows import batch_spans, cut_sound, sound_span
from tests.doubles.labelled_speech import opening_corr, slt
from tests.doubles.portrait import FPS, HANDLES, HEIGHT, WIDTH, photograph, save

FORMAT = PictureFormat(WIDTH, HEIGHT, FPS)
PICTURES, BASE = 60, 40
LIPS = (slice(196, 226), slice(296, 346))
Sound = NDArray[np.float32]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avatar")
    create_avatar(save(folder / "a.png", photograph()), folder / "a", name="A", handles=HANDLES)
    return folder / "a"


@pytest.fixture(scope="module")
def body(folder: Path) -> Body:
    return load(folder, FORMAT)


@pytest.fixture(scope="module")
def engine(folder: Path) -> PhotoEngine:
    made = make_engine(EngineSpec("photo"))
    assert isinstance(made, PhotoEngine)
    made.load("cpu")
    made.prepare(AvatarRef("anna", str(folder), FORMAT))
    return made


@pytest.fixture(scope="module")
def speech() -> Sound:
    held = slt()
    return np.asarray(soxr.resample(held.sound, held.sample_rate, 16_000), np.float32)


def render(
    engine: PhotoEngine, sound: Sound, size: int, count: int = PICTURES, **cues: object
) -> NDArray[np.uint8]:
    out = np.zeros((count, *FORMAT.shape), np.uint8)
    for first, pictures in batch_spans(count, size):
        window = cut_sound(sound, 0, sound_span(engine.needs, FPS, first, pictures))
        told = {"spoken": count, **cues}
        key = BatchKey("main", "a", 0, first)
        batch = Batch(key, pictures, "anna", BASE + first, window, cues=told)  # type: ignore[arg-type]
        heard = engine.features(window, first, pictures, FPS)
        engine.render(batch, heard, list(out[first : first + pictures]), lambda: False)
    return out


def test_how_a_task_is_cut_into_batches_makes_no_difference(
    engine: PhotoEngine, speech: Sound
) -> None:
    off = np.abs(render(engine, speech, 10).astype(np.int16) - render(engine, speech, 7))
    assert off.max() <= 2


def test_a_task_begins_and_ends_with_the_pictures_of_the_idle_loop(
    engine: PhotoEngine, speech: Sound, body: Body
) -> None:
    loud = speech[12_000 : 12_000 + PICTURES * 640]
    spoken = render(engine, loud, 10).astype(np.int16)
    idle = np.stack([body.picture(BASE + n, FPS) for n in range(PICTURES)])
    off = np.abs(spoken - idle)[:, *LIPS].mean(axis=(1, 2))
    assert max(off[0], off[-1]) < 1.0
    assert off.max() > 5


def test_lips_say_what_is_heard(engine: PhotoEngine, speech: Sound) -> None:
    count = -(-len(speech) * FPS // 16_000)
    spoken = render(engine, speech, 25, count)
    opening = np.full(count, 255.0)
    for row in ((0, 0, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0)):
        shut = render(engine, speech, count, count, mouths=[row] * count)
        away = np.abs(spoken[:, *LIPS].astype(np.int16) - shut[:, *LIPS]).mean(axis=(1, 2))
        opening = np.minimum(opening, away)
    low, high = np.percentile(opening, [5, 95])
    track = ((opening - low) / (high - low)).astype(np.float32)[:, None]
    said = slt()
    wanted = said.reference(count, FPS)
    corr = {
        late: opening_corr(track[max(0, late) : count + late], wanted[max(0, -late) : count - late])
        for late in (-3, -2, -1, 0, 1, 2, 3)
    }
    assert max(corr, key=lambda late: corr[late]) == 0
    assert corr[0] >= 0.84
    assert said.closures(track, FPS, closed=0.25) >= 0.70
    assert (said.in_pauses(track, FPS)[:, 0] < 0.25).mean() >= 0.95


def test_phoneme_times_of_a_voice_take_the_place_of_the_network(engine: PhotoEngine) -> None:
    silence = np.zeros(PICTURES * 640, np.float32)
    told = render(engine, silence, PICTURES, mouths=[[1.0, 0.2, 0, 0, 0, 0]] * PICTURES)
    off = np.abs(told.astype(np.int16) - render(engine, silence, PICTURES))[:, *LIPS]
    assert off[10:-10].mean(axis=(1, 2)).min() > 5


def test_a_batch_nobody_wants_any_more_is_left_off(engine: PhotoEngine) -> None:
    out = [np.zeros(FORMAT.shape, np.uint8) for _ in range(3)]
    window = cut_sound(np.zeros(0, np.float32), 0, sound_span(engine.needs, FPS, 0, 3))
    heard = engine.features(window, 0, 3, FPS)
    asked = iter([False, True])
    batch = Batch(BatchKey("main", "a", 0, 0), 3, "anna", 0, window)
    engine.render(batch, heard, out, lambda: next(asked))
    assert [picture.any() for picture in out] == [True, False, False]


def test_a_folder_that_is_no_avatar_is_refused(engine: PhotoEngine, tmp_path: Path) -> None:
    with pytest.raises(AvatarRefused, match=r"avatar\.json"):
        engine.prepare(AvatarRef("x", str(tmp_path), FORMAT))


def test_the_photo_engine_has_no_options() -> None:
    with pytest.raises(ValueError, match="no options"):
        make_engine(EngineSpec("photo", {"speed": 2}))
