"""A film is what the air would have shown, to the picture and the sample; or it is not there."""

from __future__ import annotations

import contextlib
import resource
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.errors import ConfigError, EncodeError, RenderError
from broadcaster.mixer.blend import Picture
from broadcaster.render.film import Film, render
from broadcaster.render.order import Asked, RenderOrder, read_order
from broadcaster.settings.model import Channel, Playout, Pool, SettingsModel, Video
from broadcaster.speech.decoder import decode_settings
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import Speaker
from broadcaster.studio.preparation import Preparation, prepare
from gpu_pool.contracts import EngineSpec
from gpu_pool.ring import MEMORY
from tests.doubles.channel_air import FADE
from tests.doubles.programme import SMALL
from tests.doubles.sound import wav
from tests.doubles.speaking_air import SpeakingAir, presenter_loop
from tests.oracles.splice_check import psnr

FIXTURE = Path(__file__).parents[1] / "fixtures" / "slt.opus"
TEXT = "Papa, mama. A film of what is said."
SETTINGS = SettingsModel(
    channels=(Channel(avatar="anna", video=Video(width=192, height=112, bitrate_kbps=600)),),
    playout=Playout(fade_ms=1000 * FADE // SMALL.video.fps),
    pool=Pool(devices=("cpu",)),
)
PER_TICK = SMALL.samples_per_tick
BEFORE, AFTER = 4, 9


class Told:
    """A witness that remembers."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.counts: list[tuple[int, int]] = []
        self.rings: set[Path] = set()

    def step(self, what: str) -> None:
        self.steps.append(what)
        self.rings |= own_rings()

    def written(self, pictures: int, total: int) -> None:
        self.counts.append((pictures, total))


@dataclass(frozen=True)
class Watched:
    """A film, decoded."""

    pictures: list[Picture]
    sound: NDArray[np.float32]
    starts: tuple[float, float]
    lasts: tuple[float, float]


def watch(file: Path) -> Watched:
    with av.open(str(file)) as film:
        video, audio = film.streams.video[0], film.streams.audio[0]
        streams = (video, audio)
        starts = tuple(float((s.start_time or 0) * s.time_base) for s in streams if s.time_base)
        lasts = tuple(float((s.duration or 0) * s.time_base) for s in streams if s.time_base)
        pictures = [
            np.ascontiguousarray(f.to_ndarray(format="yuv420p")) for f in film.decode(video)
        ]
        film.seek(0)
        sound = np.concatenate([f.to_ndarray() for f in film.decode(audio)], axis=1)
    return Watched(pictures, sound, (starts[0], starts[1]), (lasts[0], lasts[1]))


def order_for(folder: Path, **asked: object) -> RenderOrder:
    given = {"out": folder / "film.mp4", "before_s": BEFORE / 25, "after_s": AFTER / 25, **asked}
    return read_order(Asked(**given), SETTINGS)  # type: ignore[arg-type]


def make(order: RenderOrder) -> tuple[Film, Watched]:
    film = render(order, SETTINGS, Told())
    return film, watch(order.out)


def own_rings() -> set[Path]:
    """The rings that this process holds open: other stations may run on the machine."""
    held = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add((descriptor.stat().st_dev, descriptor.stat().st_ino))
    found = set()
    for ring in MEMORY.glob("gpu-pool-*"):
        with contextlib.suppress(OSError):
            found |= {ring} if (ring.stat().st_dev, ring.stat().st_ino) in held else set()
    return found


def lag_and_gain(heard: NDArray[np.float32], true: NDArray[np.float32]) -> tuple[int, float]:
    """Samples by which ``heard`` is late, within 100 ms, and how much louder it is."""
    length, reach = min(heard.shape[1], true.shape[1]), 4800
    a, b = heard[0, :length].astype(np.float64), true[0, :length].astype(np.float64)
    size = 1 << (2 * length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    near = np.concatenate([product[-reach:], product[: reach + 1]])
    return int(np.argmax(near)) - reach, float(a @ b / (b @ b))


# --- against the air ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Both:
    """The same text said on air, and as a film that begins at the same moment of the idle loop."""

    begins: int
    samples: int
    spoken: int
    pcm: NDArray[np.float32]
    on_air: list[Picture]
    heard: NDArray[np.float32]
    film: Film
    seen: Watched


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("both")
    files = SoundFiles(folder / "s16", folder / "f32")
    work = Preparation(
        "main", "a", folder / "none", files, folder / "p.json", 48_000, TEXT, "espeak:en-us",
        mouths=folder / "mouths.npy",
    )  # fmt: skip
    speaker = Speaker()
    prepared = prepare(work, decode_settings(SETTINGS), speaker)
    speaker.close()
    assert prepared.error == ""
    station = SpeakingAir(SETTINGS, presenter_loop("anna", SMALL), SMALL)
    try:
        begins = station.say(files, prepared.samples, folder / "mouths.npy")
        heard = station.air.heard()
    finally:
        station.close()
    order = order_for(folder, text=TEXT, voice="espeak:en-us")
    film, seen = make(replace(order, first_tick=begins - BEFORE))
    pcm = np.fromfile(files.sound, "<i2").reshape(-1, 2).T / np.float32(32768)
    spoken = -(-prepared.samples // PER_TICK)
    sound = heard.sound
    return Both(begins, prepared.samples, spoken, pcm, heard.pictures, sound, film, seen)


def test_a_film_is_as_long_as_its_speech_two_fades_and_its_idle(both: Both) -> None:
    total = BEFORE + both.spoken + FADE + AFTER
    assert len(both.seen.pictures) == both.film.pictures == total
    assert both.seen.lasts == (total / 25, total / 25)
    assert 0 <= both.seen.sound.shape[1] - total * PER_TICK < 1024


def test_picture_and_sound_of_a_film_begin_together(both: Both) -> None:
    assert both.seen.starts == (0.0, 0.0)


def test_every_picture_of_the_task_is_the_one_that_the_air_showed(both: Both) -> None:
    """The air's was coded once more where idle shows through, so a few decibels are lost."""
    first = both.begins - BEFORE
    count = BEFORE + both.spoken + FADE
    film, air = both.seen.pictures[:count], both.on_air[first : first + count]
    own = np.array([psnr(*pair) for pair in zip(film, air, strict=True)])
    assert own.min() > 42
    moved = np.array([psnr(a, b) for a, b in zip(film[1:], air, strict=False)])
    assert own[1:].mean() > moved.mean() + 4, "a film one picture late would do as well"


def test_the_sound_of_a_film_is_the_airs_to_the_sample(both: Both) -> None:
    start = (both.begins - BEFORE) * PER_TICK
    lag, gain = lag_and_gain(both.seen.sound, both.heard[:, start:])
    assert lag == 0
    assert gain == pytest.approx(1.0, abs=0.005)


def test_the_sound_of_a_film_is_what_was_prepared_at_full_gain_throughout(both: Both) -> None:
    said = both.seen.sound[:, BEFORE * PER_TICK :]
    lag, gain = lag_and_gain(said, both.pcm)
    assert lag == 0
    assert gain == pytest.approx(1.0, abs=0.005)
    assert np.abs(both.seen.sound[:, : BEFORE * PER_TICK - 1024]).max() < 1e-3
    assert np.abs(said[:, both.samples + 1024 :]).max() < 1e-3


# --- files, faults -----------------------------------------------------------------------------


def test_an_upload_becomes_a_film_at_the_size_and_rates_asked_for(tmp_path: Path) -> None:
    sound = tmp_path / "sound.wav"
    sound.write_bytes(wav(1.5))
    order = order_for(tmp_path, audio=sound, size="112x192", fps=30, rate=44_100, avatar="leon")
    order = replace(order, engine=EngineSpec("simulated", {"batch_pictures": 40}))
    film, seen = make(order)
    assert seen.pictures[0].shape == (288, 112)
    assert seen.lasts[0] == pytest.approx(film.pictures / 30, abs=1e-9)
    assert seen.lasts[1] == pytest.approx(film.pictures / 30, abs=1e-9)
    assert film.start == round(BEFORE / 25 * 30)


def test_a_worker_that_dies_costs_time_and_no_picture(tmp_path: Path) -> None:
    fault = {"fault": "kill", "picture": 9, "times": 1, "marks": str(tmp_path)}
    order = order_for(tmp_path, text="One, two, three.")
    film, seen = make(replace(order, engine=EngineSpec("simulated", {"faults": [fault]})))
    assert len(seen.pictures) == film.pictures


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"faults": [{"fault": "kill", "picture": 9}]}, "cannot be rendered: .*SIGKILL"),
        ({"faults": [{"fault": "exit", "picture": -1}]}, "cannot be rendered: exit status 0"),
        ({"batch_pictures": 75}, "raise pool.ring_mb"),
        ({"speed": 7}, "cannot be rendered: .*speed"),
    ],
)
def test_pictures_that_never_come_end_the_render_and_nothing_is_left(
    tmp_path: Path, options: dict[str, object], words: str
) -> None:
    told, order = Told(), order_for(tmp_path, text="One, two, three.")
    spec = EngineSpec("simulated", options)  # type: ignore[arg-type]
    with pytest.raises(RenderError, match=words):
        render(replace(order, engine=spec), SETTINGS, told)
    assert list(tmp_path.iterdir()) == []
    assert [each.exists() for each in told.rings] == [False]


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    order = order_for(tmp_path, text="One.")
    order = replace(order, engine=EngineSpec("simulated"))

    class Rival(Told):
        def written(self, pictures: int, total: int) -> None:
            order.out.write_text("somebody else's")

    with pytest.raises(ConfigError, match="is there already"):
        render(order, SETTINGS, Rival())
    assert order.out.read_text() == "somebody else's"
    assert list(tmp_path.iterdir()) == [order.out]


def test_a_disk_that_fills_up_ends_the_render_and_nothing_is_left(tmp_path: Path) -> None:
    order = replace(order_for(tmp_path, audio=FIXTURE), engine=EngineSpec("simulated"))
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Full(Told):
        """No file may grow any more; Python ignores the signal that comes with it."""

        def written(self, pictures: int, total: int) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, usual[1]))

    try:
        with pytest.raises(EncodeError, match="the film cannot be written: File too large"):
            render(order, SETTINGS, Full())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = replace(order_for(tmp_path, text="One."), out=Path("/proc/film.mp4"))
    with pytest.raises(RenderError, match=r"/proc/film\.mp4: cannot be written: "):
        render(order, SETTINGS, Told())
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(RenderError, match="no temporary folder: "):
        render(order_for(tmp_path, text="One."), SETTINGS, Told())
    assert list(tmp_path.iterdir()) == []


def test_how_far_a_film_is_is_told_picture_by_picture(tmp_path: Path) -> None:
    told = Told()
    order = replace(order_for(tmp_path, text="One."), engine=EngineSpec("simulated"))
    film = render(order, SETTINGS, told)
    assert told.steps == ["preparing the sound", "waiting for the workers"]
    assert told.counts == [(n, film.pictures) for n in range(1, film.pictures + 1)]
