"""One gain per task: the loudness it ends at, the limits, the two files, bad numbers."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from broadcaster.errors import MediaError
from broadcaster.speech import sound_files
from broadcaster.speech.decode import Decoded, decode_upload
from broadcaster.speech.decoder import DecodeSettings
from broadcaster.speech.sound_files import MODEL_RATE_HZ, SoundFiles, model_samples

PLAIN = DecodeSettings("ffmpeg", memory_mb=1024, timeout_s=20, max_sound_s=60)
SETTINGS = replace(PLAIN, loudness_lufs=-16.0)
RATE = 48_000

Sound = NDArray[np.float64]


def speechlike(seconds: float, level: float, rate: int = RATE, seed: int = 1) -> Sound:
    """Noise under a slow envelope with pauses, as loud as ``level`` (peak)."""
    draw = np.random.default_rng(seed)
    at = np.arange(int(seconds * rate)) / rate
    voiced = draw.standard_normal(len(at)) * 0.1 + np.sin(2 * np.pi * 180 * at)
    shaped = voiced * np.clip(np.sin(2 * np.pi * 1.3 * at), 0, 1)
    return np.asarray(shaped / np.abs(shaped).max() * level)


def write_wav(file: Path, sound: Sound, rate: int = RATE) -> None:
    """Float samples of shape (n,) or (n, channels)."""
    channels = 1 if sound.ndim == 1 else sound.shape[1]
    data = sound.astype("<f4").tobytes()
    head = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 3, channels,
                       rate, rate * 4 * channels, 4 * channels, 32, b"data", len(data))  # fmt: skip
    file.write_bytes(head + data)


def decoded(
    folder: Path, sound: Sound, settings: DecodeSettings = SETTINGS, rate: int = RATE
) -> tuple[Decoded, Sound, Sound]:
    """The outcome, the sound for the air (n, 2) and the one for the models, as floats."""
    write_wav(folder / "upload", sound, rate)
    files = SoundFiles(folder / "sound.s16", folder / "sound16k.f32")
    made = decode_upload(folder / "upload", files, RATE, settings)
    assert files.holds(made.samples, RATE)
    assert {each.name for each in folder.iterdir()} == {"upload", "sound.s16", "sound16k.f32"}
    air = np.fromfile(files.sound, "<i2").reshape(-1, 2) / 32768
    return made, air, np.fromfile(files.sound_16k, "<f4").astype(float)


def measured(sound: Path) -> tuple[float, float]:
    """Integrated loudness and true peak by FFmpeg's own scanner."""
    raw = ("-f", "s16le", "-ar", str(RATE), "-ac", "2", "-i", str(sound))
    scan = ("-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-")
    told = subprocess.run(
        ["ffmpeg", "-hide_banner", "-nostdin", *raw, *scan],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    return (
        float(re.findall(r"I:\s+(\S+) LUFS", told)[-1]),
        float(re.findall(r"Peak:\s+(\S+) dBFS", told)[-1]),
    )


@pytest.mark.parametrize("level", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_ends_at_the_stations_loudness(tmp_path: Path, level: float, channels: int) -> None:
    sound = speechlike(6, level)
    if channels == 2:
        sound = np.stack([sound, speechlike(6, level / 2, seed=2)], axis=1)
    made, _, _ = decoded(tmp_path, sound)
    lufs, peak = measured(tmp_path / "sound.s16")
    at_a_limit = made.gain_db == 20.0 or peak > -1.5
    assert lufs == pytest.approx(-16, abs=0.2) or (at_a_limit and lufs < -16)
    assert peak <= -0.9


def test_the_sound_is_the_upload_times_one_gain(tmp_path: Path) -> None:
    sound = np.stack([speechlike(3, 0.3), speechlike(3, 0.2, seed=2)], axis=1)
    made, air, _ = decoded(tmp_path, sound)
    wanted = sound * 10 ** (made.gain_db / 20)
    assert made.gain_db != 0
    assert np.abs(air - wanted).max() <= 0.51 / 32768, "rounded once"


def test_a_loud_peak_keeps_the_whole_quieter(tmp_path: Path) -> None:
    """A gain that fits the loudness would clip: the limit wins, nothing is compressed."""
    sound = speechlike(6, 0.02)
    sound[RATE : RATE + 40] = 0.9
    made, air, _ = decoded(tmp_path, sound)
    lufs, peak = measured(tmp_path / "sound.s16")
    assert lufs < -25
    assert peak <= -0.9
    assert np.abs(air[:, 0] - sound * 10 ** (made.gain_db / 20)).max() < 1e-4


def test_an_overloaded_sound_is_brought_down_instead_of_clipped(tmp_path: Path) -> None:
    """Floats may be far over full scale; the service before multiplied them and let them wrap."""
    sound = speechlike(3, 8.0)
    made, air, _ = decoded(tmp_path, sound)
    assert made.gain_db < -18
    assert np.abs(air[:, 0] - sound * 10 ** (made.gain_db / 20)).max() < 1e-4


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_and_the_hiss_of_a_room_are_not_blown_up(tmp_path: Path, level: float) -> None:
    draw = np.random.default_rng(3)
    made, air, _ = decoded(tmp_path, draw.standard_normal(RATE * 2) * level)
    assert made.gain_db <= 20
    assert np.abs(air).max() < 0.001


@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.39])
def test_a_sound_too_short_for_the_standard_is_brought_to_the_same_loudness(
    tmp_path: Path, seconds: float
) -> None:
    at = np.arange(int(seconds * RATE)) / RATE
    made, _, _ = decoded(tmp_path, np.sin(2 * np.pi * 997 * at) * 0.05)
    # A 997 Hz sine of this level in both channels has -26.02 LUFS, however long it is.
    assert made.gain_db == pytest.approx(-16 + 26.02, abs=0.3)


def test_normalising_can_be_switched_off(tmp_path: Path) -> None:
    sound = np.round(speechlike(1, 0.1) * 32768) / 32768
    made, air, _ = decoded(tmp_path, sound, PLAIN)
    assert made.gain_db == 0
    assert np.array_equal(air[:, 0], sound)


def test_a_gain_from_before_is_used_again(tmp_path: Path) -> None:
    """A task that goes on after a restart must not become louder in mid-sentence."""
    write_wav(tmp_path / "upload", speechlike(1, 0.1))
    files = SoundFiles(tmp_path / "a", tmp_path / "b")
    again = decode_upload(tmp_path / "upload", files, RATE, SETTINGS, gain_db=-3.0)
    assert again == Decoded(RATE, -3.0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 192_000])
def test_the_models_hear_the_same_moment_at_the_same_second(tmp_path: Path, rate: int) -> None:
    at = np.arange(int(2.37 * rate)) / rate
    sound = np.sin(2 * np.pi * 440 * at) * np.exp(-(((at - 1.2) / 0.05) ** 2)) * 0.5
    made, air, model = decoded(tmp_path, sound, rate=rate)
    assert len(model) == model_samples(made.samples, RATE)
    centre = [
        float(np.sum(np.arange(len(x)) * x**2) / np.sum(x**2)) / hz
        for x, hz in ((air[:, 0], RATE), (model, MODEL_RATE_HZ))
    ]
    assert centre[0] == pytest.approx(1.2, abs=1e-3)
    assert centre[1] == pytest.approx(centre[0], abs=2e-4)
    assert np.abs(model).max() == pytest.approx(np.abs(air).max(), rel=0.02)


def test_the_models_hear_both_sides(tmp_path: Path) -> None:
    left = speechlike(1, 0.3)
    _, _, model = decoded(tmp_path, np.stack([left, np.zeros_like(left)], axis=1), PLAIN)
    mono = left[: len(left) // 3 * 3].reshape(-1, 3).mean(axis=1) / 2
    assert np.corrcoef(model[: len(mono)], mono)[0, 1] > 0.95
    assert np.std(model) == pytest.approx(np.std(left) / 2, rel=0.1)


def test_half_an_hour_needs_no_more_memory_than_a_second(tmp_path: Path) -> None:
    """The files are written block by block; a block is what is in memory."""
    part = tmp_path / "part"
    with part.open("wb") as file:
        file.truncate(600 * RATE * sound_files.DECODED_BYTES)
    files = SoundFiles(tmp_path / "a", tmp_path / "b")
    script = (
        "import resource, sys; from pathlib import Path;"
        "from broadcaster.speech.sound_files import *;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        f"write_sound(Path({str(part)!r}), SoundFiles(Path({str(files.sound)!r}), "
        f"Path({str(files.sound_16k)!r})), {RATE}, -3.0);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert files.holds(600 * RATE, RATE)
    assert int(told.stdout) < 60_000, f"{told.stdout} KiB"


def test_a_few_numbers_that_are_none_are_silenced(tmp_path: Path) -> None:
    """Found after the first seconds only; players play such files, and so does the station."""
    sound = speechlike(5, 0.3)
    sound[4 * RATE] = np.nan
    sound[4 * RATE + 100] = np.inf
    sound[4 * RATE + 200] = -1e30
    made, air, _ = decoded(tmp_path, sound)
    wanted = np.where(np.abs(sound) < 1000, sound, 0) * 10 ** (made.gain_db / 20)
    assert np.abs(air[:, 0] - wanted).max() < 1e-4
    assert measured(tmp_path / "sound.s16")[0] == pytest.approx(-16, abs=0.3)


def test_they_harm_only_their_neighbourhood_when_the_rate_is_changed(tmp_path: Path) -> None:
    sound = speechlike(5, 0.3, rate=44_100)
    sound[4 * 44_100] = np.nan
    _, air, model = decoded(tmp_path, sound, rate=44_100)
    assert np.isfinite(model).all()
    assert np.abs(air[: int(3.9 * RATE)]).max() > 0.1


def test_a_sound_that_stops_being_numbers_is_refused_with_the_second(tmp_path: Path) -> None:
    sound = speechlike(6, 0.3)
    sound[3 * RATE :] = np.nan
    write_wav(tmp_path / "upload", sound)
    files = SoundFiles(tmp_path / "a", tmp_path / "b")
    with pytest.raises(MediaError, match=r"no valid samples from 3\.0 s on"):
        decode_upload(tmp_path / "upload", files, RATE, SETTINGS)
    assert {each.name for each in tmp_path.iterdir()} == {"upload"}


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    """A file size limit stands for the disk: it fails the write in the same way."""
    write_wav(tmp_path / "upload", speechlike(5, 0.3))
    script = (
        "import resource, signal; from pathlib import Path;"
        "from broadcaster.speech.decode import *; from broadcaster.speech.sound_files import *;"
        f"root = Path({str(tmp_path)!r}); files = SoundFiles(root / 'a', root / 'b');"
        "settings = DecodeSettings('ffmpeg', 1024, 20, 60, -16.0);"
        "part = root / 'part'; part.write_bytes(bytes(5 * 48000 * 8));"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "try:\n    write_sound(part, files, 48000, 0.0)\n"
        "except OSError as error:\n    print(error.errno)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "27"
    assert {each.name for each in tmp_path.iterdir()} == {"upload", "part"}
