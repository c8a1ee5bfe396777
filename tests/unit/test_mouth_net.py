"""The mouth network as engines use it: whole sounds, streams and windows give the same mouth."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_pool.contracts import EngineNeeds
from gpu_pool.engines import mouth
from gpu_pool.engines.mouth import LOOKAHEAD_S, LOOKBACK_S, MouthNet, picture_count, window_span
from gpu_pool.engines.mouth.track import SEALED, Decimator
from gpu_pool.engines.mouth.visemes import PP, VISEMES
from gpu_pool.windows import cut_sound, sound_span
from tests.doubles.labelled_speech import slt

NET = MouthNet.load()
SPEECH = slt().sound[: 8 * 16_000]


def fed(sound: NDArray[np.float32], fps: int, sizes: list[int]) -> NDArray[np.float32]:
    """A stream given pieces of these sizes in turn, over and over."""
    stream, rows, at = NET.stream(fps), [], 0
    while at < len(sound):
        size = sizes[len(rows) % len(sizes)]
        rows.append(stream.feed(sound[at : at + size]))
        at += size
    return np.concatenate([*rows, stream.finish()])


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_a_stream_gives_the_mouth_of_the_whole_sound(fps: int) -> None:
    whole = NET.track(SPEECH, fps)
    for sizes in ([640], [1, 7000, 333], [16_000]):
        np.testing.assert_allclose(fed(SPEECH, fps, sizes), whole, atol=1e-5)


@pytest.mark.parametrize("fps", [24, 25, 30, 50])
@pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 12), (37, 25), (100, 3), (190, 2)])
def test_a_window_gives_the_mouth_of_the_whole_sound(fps: int, first: int, count: int) -> None:
    whole = NET.track(SPEECH, fps)[first : first + count]
    start, end = window_span(first, count, fps)
    window = NET.window(SPEECH[start:end], start, first, count, fps)
    np.testing.assert_allclose(window, whole, atol=1e-5)


@pytest.mark.parametrize("fps", [24, 25, 30])
def test_the_pools_own_windows_give_the_mouth_of_the_whole_sound(fps: int) -> None:
    needs = EngineNeeds(LOOKBACK_S, LOOKAHEAD_S, 25)
    whole = NET.track(SPEECH, fps)
    for first in range(0, len(whole), 25):
        count = min(25, len(whole) - first)
        span = sound_span(needs, fps, first, count)
        window = NET.window(cut_sound(SPEECH, 0, span), span[0], first, count, fps)
        np.testing.assert_allclose(window, whole[first : first + count], atol=1e-5)


def test_sound_older_than_the_look_back_changes_nothing() -> None:
    first, fps = 150, 25
    start, end = window_span(first, 5, fps)
    noisy = SPEECH.copy()
    noisy[:start] = np.random.default_rng(1).uniform(-1, 1, start)
    np.testing.assert_allclose(
        NET.track(noisy[:end], fps)[first : first + 5],
        NET.track(SPEECH[:end], fps)[first : first + 5],
        atol=1e-5,
    )


def test_an_answer_comes_80_ms_after_its_picture_ends() -> None:
    stream = NET.stream(25)
    for picture in range(10):
        end = (picture + 1) * 640 + 1280
        assert len(stream.feed(SPEECH[max(0, end - 640) if picture else 0 : end - 1])) == 0
        assert len(stream.feed(SPEECH[end - 1 : end])) == 1


@pytest.mark.parametrize("samples", [0, 1, 639, 640, 641, 16_000, 16_001])
@pytest.mark.parametrize("fps", [24, 25, 30])
def test_every_sample_has_its_picture(samples: int, fps: int) -> None:
    track = NET.track(SPEECH[:samples], fps)
    assert track.shape == (picture_count(samples, fps), 6)
    assert len(track) / fps >= samples / 16_000 > (len(track) - 1) / fps or samples == 0


def test_every_value_is_a_share_whatever_the_sound() -> None:
    rng = np.random.default_rng(2)
    wild = rng.uniform(-9, 9, 32_000).astype(np.float32)
    wild[5000:5100] = np.nan
    wild[9000] = np.inf
    wild[9001] = -np.inf
    for sound in (wild, SPEECH, np.ones(8000, np.float32)):
        track = NET.track(sound, 25)
        assert np.isfinite(track).all()
        assert track.min() >= 0
        assert track.max() <= 1


def test_what_is_not_a_number_does_not_stay_in_a_stream() -> None:
    stream = NET.stream(25)
    stream.feed(np.full(4000, np.nan, np.float32))
    stream.feed(np.zeros(12_000, np.float32))
    after = np.concatenate([stream.feed(SPEECH), stream.finish()])
    np.testing.assert_allclose(after[-150:], NET.track(SPEECH, 25)[-150:], atol=0.02)


def test_streams_do_not_hear_each_other() -> None:
    one, other = NET.stream(25), NET.stream(25)
    rows = []
    for at in range(0, 64_000, 1600):
        rows.append(one.feed(SPEECH[at : at + 1600]))
        other.feed(np.random.default_rng(at).uniform(-0.5, 0.5, 1600).astype(np.float32))
    rows.append(one.finish())
    np.testing.assert_allclose(np.concatenate(rows), NET.track(SPEECH[:64_000], 25), atol=1e-5)


def test_a_long_stream_keeps_no_sound() -> None:
    stream = NET.stream(25)
    for _ in range(25):
        stream.feed(SPEECH[:640])
    own = tracemalloc.Filter(inclusive=True, filename_pattern="*/gpu_pool/*")
    tracemalloc.start()
    try:
        for _ in range(1000):
            stream.feed(SPEECH[:640])
        held = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
    finally:
        tracemalloc.stop()
    assert sum(each.size for each in held) < 100_000  # 40 s of sound would be 2.5 MB


@pytest.mark.parametrize(
    ("share", "opening"), [(0, 0.8), (SEALED / 2, 0.4), (SEALED, 0.0), (1, 0.0)]
)
def test_lips_meet_before_the_network_is_wholly_sure(share: float, opening: float) -> None:
    told = np.zeros((3, len(VISEMES) + 3), np.float32)
    told[:, PP] = share
    told[:, len(VISEMES)] = 0.8
    assert Decimator(25).feed(told)[0, 0] == pytest.approx(opening, abs=1e-6)


def test_the_rate_is_checked() -> None:
    for fps in (0, -25, 61):
        with pytest.raises(ValueError, match="pictures per second"):
            NET.stream(fps)


def test_the_network_needs_numpy_only() -> None:
    code = (
        "import sys; from gpu_pool.engines.mouth import MouthNet; MouthNet.load();"
        "heavy = {'torch', 'scipy', 'cv2', 'soundfile', 'onnxruntime'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_file_is_small() -> None:
    folder = Path(mouth.__file__).parent
    assert (folder / "mouthnet.npz").stat().st_size <= 450_000
    assert (folder / "MODEL_CARD.md").exists()


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(KeyError):
        MouthNet.load(str(tmp_path / "other.npz"))
    with pytest.raises(OSError, match="absent"):
        MouthNet.load(str(tmp_path / "absent.npz"))
