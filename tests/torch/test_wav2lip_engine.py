"""The engine ``wav2lip``: true-size random weights, a real face, however a task is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gpu_pool.contracts import (
    AvatarRef,
    Batch,
    BatchKey,
    BatchRefused,
    EngineSpec,
    Json,
    PictureFormat,
)
from gpu_pool.engines.checkpoint import CheckpointRefused, layout
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.registry import make_engine
from gpu_pool.engines.wav2lip.engine import Wav2LipEngine
from gpu_pool.engines.wav2lip.mel import column_of, whole_mel
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles.drawn_avatar import clip_avatar, still_avatar
from tests.doubles.engine_run import FPS, rendered
from tests.doubles.engine_run import idle as shown_idle
from tests.doubles.plain_wav2lip import weights
from tests.doubles.weight_files import zero_weights

FORMAT = PictureFormat(480, 270, FPS)
PICTURES = 14


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Weights and both kinds of avatar; the weights are removed at once, they have 145 MB."""
    folder = tmp_path_factory.mktemp("wav2lip")
    still_avatar(folder / "still")
    clip_avatar(folder / "clip")
    torch.save(weights("wav2lip96"), folder / "wav2lip.pth")
    yield folder
    (folder / "wav2lip.pth").unlink()


@pytest.fixture(scope="session")
def speech() -> NDArray[np.float32]:
    sound, rate = soundfile.read(
        Path(__file__).parents[1] / "fixtures" / "slt.opus", dtype="float32"
    )
    assert rate == 16_000
    return np.ascontiguousarray(sound[: PICTURES * 640])


def made(home: Path, **options: Json) -> Wav2LipEngine:
    exact: dict[str, Json] = {"weights": str(home / "wav2lip.pth"), "precision": "float32"}
    engine = make_engine(EngineSpec("wav2lip", {**exact, **options}))
    assert isinstance(engine, Wav2LipEngine)
    engine.load("cpu")
    for name in ("still", "clip"):
        engine.prepare(AvatarRef(name, str(home / name), FORMAT))
    return engine


@pytest.fixture(scope="session")
def engine(home: Path) -> Wav2LipEngine:
    return made(home)


def render(
    engine: Wav2LipEngine,
    sound: NDArray[np.float32],
    sizes: Sequence[int],
    avatar: str = "clip",
    spoken: int = PICTURES,
) -> NDArray[np.uint8]:
    return rendered(engine, FORMAT, sound, sizes, PICTURES, avatar, {"spoken": spoken})


@pytest.fixture(scope="session")
def offline(engine: Wav2LipEngine, speech: NDArray[np.float32]) -> NDArray[np.uint8]:
    return render(engine, speech, [PICTURES])


def idle(home: Path, avatar: str) -> NDArray[np.uint8]:
    return shown_idle(home / avatar, FORMAT, PICTURES)


SPLITS = st.lists(st.integers(1, PICTURES), min_size=PICTURES, max_size=PICTURES)


@settings(max_examples=100, deadline=None, database=None)
@given(sizes=SPLITS, fps=st.sampled_from([24, 25, 30, 50, 60]), start=st.integers(0, 400))
def test_a_batch_hears_its_true_context_wherever_it_is_cut(
    engine: Wav2LipEngine,
    speech: NDArray[np.float32],
    sizes: list[int],
    fps: int,
    start: int,
) -> None:
    before, after = np.zeros(8000, np.float32), np.zeros(48_000, np.float32)
    whole = whole_mel(np.concatenate([before, speech, after]), "constant")
    first = start % (PICTURES * fps // FPS)
    for size in sizes[:3]:
        window = cut_sound(speech, 0, sound_span(engine.needs, fps, first, size))
        heard = engine.features(window, first, size, fps)
        columns = [40 + column_of(index, fps) for index in range(first, first + size)]
        golden = np.stack([whole[:, column : column + 16] for column in columns])
        np.testing.assert_allclose(heard, golden, atol=1e-5)
        first += size


@settings(max_examples=4, deadline=None, database=None)
@given(sizes=SPLITS)
def test_a_streamed_task_is_the_same_as_the_whole_at_once(
    engine: Wav2LipEngine,
    speech: NDArray[np.float32],
    offline: NDArray[np.uint8],
    sizes: list[int],
) -> None:
    off = np.abs(render(engine, speech, sizes).astype(np.int16) - offline)
    assert off.max() <= 1  # a pass of another size rounds a last digit differently


@pytest.mark.parametrize("avatar", ["clip", "still"])
def test_the_mouths_part_changes_and_nothing_else(
    engine: Wav2LipEngine, home: Path, speech: NDArray[np.float32], avatar: str
) -> None:
    pictures, still = render(engine, speech, [8, 8], avatar), idle(home, avatar)
    away = np.abs(pictures.astype(np.int16) - still)
    assert not away[[0, -1]].any(), "the first and the last are those of the idle loop"
    luma = away[:, : FORMAT.height]
    rows, columns = np.argwhere(luma.max(axis=0) > 0).T
    # Of HANDLES, at this size: the eyes at row 112, the mouth at (240, 155), the chin at 181.
    assert 120 <= rows.min() <= 145
    assert 181 <= rows.max() <= 195
    assert columns.min() >= 190
    assert columns.max() <= 290
    assert luma[2:-2, 150:165, 225:255].mean(axis=(1, 2)).min() > 10


def test_pictures_behind_the_sound_are_those_of_the_idle_loop(
    engine: Wav2LipEngine, home: Path, speech: NDArray[np.float32]
) -> None:
    pictures, still = render(engine, speech, [PICTURES], spoken=9), idle(home, "clip")
    changed = [bool((one != other).any()) for one, other in zip(pictures, still, strict=True)]
    assert changed == [False, *[True] * 7, False, *[False] * 5]


def test_what_is_said_is_seen(
    engine: Wav2LipEngine, speech: NDArray[np.float32], offline: NDArray[np.uint8]
) -> None:
    silent = render(engine, np.zeros_like(speech), [PICTURES])
    assert (silent != offline).any()


def test_without_room_to_keep_anything_pictures_are_the_same(
    home: Path, speech: NDArray[np.float32], offline: NDArray[np.uint8]
) -> None:
    off = np.abs(render(made(home, keep_mb=0), speech, [6, 8]).astype(np.int16) - offline)
    assert off.max() <= 1


def test_half_precision_is_the_same_in_any_batches(home: Path, speech: NDArray[np.float32]) -> None:
    engine = made(home, precision="bfloat16", batch_pictures=4)
    whole = render(engine, speech, [PICTURES])
    for sizes in ([1] * PICTURES, [3, 4, 2, 5], [7, 7]):
        np.testing.assert_array_equal(render(engine, speech, sizes), whole)


def test_half_precision_is_seen_by_a_machine_only(
    home: Path, speech: NDArray[np.float32], offline: NDArray[np.uint8]
) -> None:
    off = np.abs(
        render(made(home, precision="bfloat16"), speech, [8, 8]).astype(np.int16) - offline
    )
    assert 0 < off.mean() < 0.2
    assert np.percentile(off[off > 0], 99) <= 12


def test_in_conformance_the_whole_box_is_overwritten(
    home: Path, speech: NDArray[np.float32]
) -> None:
    pictures = render(made(home, conformance=True), speech, [PICTURES], "still")
    away = np.abs(pictures.astype(np.int16) - idle(home, "still"))[0, : FORMAT.height]
    rows, columns = np.argwhere(away > 0).T
    box = away[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert box.shape[0] > 80
    assert (box > 0).mean() > 0.95, "also in the first picture, to the edge"


def test_an_abandoned_batch_is_left(engine: Wav2LipEngine, speech: NDArray[np.float32]) -> None:
    out = np.zeros((4, *FORMAT.shape), np.uint8)
    window = cut_sound(speech, 0, sound_span(engine.needs, FPS, 4, 4))
    batch = Batch(BatchKey("main", "a", 0, 4), 4, "clip", 44, window)
    engine.render(batch, engine.features(window, 4, 4, FPS), list(out), lambda: True)
    assert not out.any()


def test_sound_that_is_no_number_is_refused(engine: Wav2LipEngine) -> None:
    window = np.full(sound_span(engine.needs, FPS, 0, 4)[1] + 601, np.nan, np.float32)
    out = np.zeros((4, *FORMAT.shape), np.uint8)
    batch = Batch(BatchKey("main", "a", 0, 0), 4, "clip", 0, window)
    with pytest.raises(BatchRefused, match="no number"):
        engine.render(batch, engine.features(window, 0, 4, FPS), list(out), lambda: False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "pool.engines.wav2lip.weights"),
        ({"weights": "a", "size": 96}, "no option 'size'"),
        ({"weights": "a", "precision": "int8"}, "precision 'int8' is none of auto"),
        ({"weights": "a", "batch_pictures": 0}, "batch_pictures has to be 1 or more"),
        ({"weights": "a", "threads": "2"}, "threads has to be a whole number"),
    ],
)
def test_options_that_cannot_be_are_said_to_be_wrong(options: dict[str, Json], said: str) -> None:
    with pytest.raises(OptionsRefused, match=said):
        make_engine(EngineSpec("wav2lip", options))


def test_another_networks_weights_end_the_loading_by_name(tmp_path: Path) -> None:
    file = zero_weights(tmp_path / "wav2lip.pth", layout("s3fd"), "F16")
    engine = make_engine(EngineSpec("wav2lip", {"weights": str(file)}))
    with pytest.raises(CheckpointRefused, match="this is S3FD face detector, not Wav2Lip"):
        engine.load("cpu")
