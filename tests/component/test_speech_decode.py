"""Decoding uploads with the real FFmpeg in its limited child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from broadcaster.errors import MediaError
from broadcaster.speech.decode import MediaTooLongError, decode_upload
from broadcaster.speech.decoder import DecoderMissingError, DecodeSettings
from broadcaster.speech.probe import SHORT_BYTES, hear_upload, probe_upload
from broadcaster.speech.sound_files import SoundFiles
from tests.doubles.sound import wav

SETTINGS = DecodeSettings("ffmpeg", memory_mb=1024, timeout_s=20, max_sound_s=60)
FORMATS = {
    "wav": [],
    "flac": [],
    "mp3": [],
    "ogg": ["-c:a", "libvorbis"],
    "opus": ["-c:a", "libopus"],
    "m4a": ["-c:a", "aac"],
    "webm": ["-c:a", "libopus"],
    "mp4": ["-c:a", "aac"],
}


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], check=True)


def files_in(folder: Path) -> SoundFiles:
    return SoundFiles(folder / "sound.s16", folder / "sound16k.f32")


def samples_of(sound: Path) -> np.ndarray:
    return np.frombuffer(sound.read_bytes(), "<i2").reshape(-1, 2)


@pytest.mark.parametrize("kind", FORMATS)
def test_common_formats_are_decoded_whole(tmp_path: Path, kind: str) -> None:
    made, upload = tmp_path / f"made.{kind}", tmp_path / "upload"
    ffmpeg("-f", "lavfi", "-i", "sine=440:d=1.5", *FORMATS[kind], str(made))
    made.rename(upload)
    assert probe_upload(upload, SETTINGS) > 1.4
    samples = decode_upload(upload, files_in(tmp_path), 48_000, SETTINGS).samples
    assert abs(samples - 72_000) < 4800
    assert samples == len(samples_of(tmp_path / "sound.s16"))


def test_sound_in_a_video_is_taken_and_the_picture_is_not(tmp_path: Path) -> None:
    made, upload = tmp_path / "made.mp4", tmp_path / "upload"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-f", "lavfi", "-i", "sine=d=1"), str(made)
    )
    made.rename(upload)
    assert decode_upload(upload, files_in(tmp_path), 48_000, SETTINGS).samples > 40_000


def test_mono_is_doubled_without_losing_level(tmp_path: Path) -> None:
    upload, sound = tmp_path / "upload", tmp_path / "sound.s16"
    upload.write_bytes(wav(0.5, rate=48_000, level=0.8))
    decode_upload(upload, files_in(tmp_path), 48_000, SETTINGS)
    original = np.frombuffer(upload.read_bytes()[44:], "<i2")
    for side in samples_of(sound).T:
        assert np.array_equal(side, original)


@pytest.mark.parametrize("rate", [44_100, 48_000])
@pytest.mark.parametrize("source_rate", [8_000, 22_050, 44_100, 96_000, 192_000])
def test_length_and_level_survive_resampling(tmp_path: Path, rate: int, source_rate: int) -> None:
    upload, sound = tmp_path / "upload", tmp_path / "sound.s16"
    upload.write_bytes(wav(1.0, rate=source_rate, hz=500, level=0.5))
    samples = decode_upload(upload, files_in(tmp_path), rate, SETTINGS).samples
    assert abs(samples - rate) <= 2
    middle = samples_of(sound)[rate // 4 : rate // 2].astype(float)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 * 32767 / np.sqrt(2), rel=0.01)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"just text in a file called wav", "not sound"),
        (wav()[:44], "not sound|no sound"),
        (bytes(5000), "not sound"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n", "not sound"),
        (b"ffconcat version 1.0\nfile '/dev/zero'\n", "not sound"),
    ],
)
def test_what_is_no_sound_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, says: str
) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(content)
    with pytest.raises(MediaError, match=says) as refused:
        probe_upload(upload, SETTINGS)
    assert str(refused.value).count(".") == 1
    assert "/" not in str(refused.value)


def test_a_playlist_cannot_name_another_file(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(wav(1))
    upload = tmp_path / "upload"
    for script in (
        f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n",
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
    ):
        upload.write_text(script)
        with pytest.raises(MediaError):
            probe_upload(upload, SETTINGS)
        with pytest.raises(MediaError):
            decode_upload(upload, files_in(tmp_path), 48_000, SETTINGS)
        assert not (tmp_path / "sound.s16").exists()


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", str(made))
    with pytest.raises(MediaError, match="has no sound"):
        probe_upload(made, SETTINGS)


def test_sound_over_the_limit_is_refused_before_and_after_decoding(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(wav(3, rate=8000))
    short = replace(SETTINGS, max_sound_s=2.5)
    with pytest.raises(MediaTooLongError, match=r"longer than 2\.5 s"):
        probe_upload(upload, short)
    with pytest.raises(MediaTooLongError):
        decode_upload(upload, files_in(tmp_path), 48_000, short)
    assert {p.name for p in tmp_path.iterdir()} == {"upload"}


def test_a_decoder_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    upload = tmp_path / "upload"
    upload.write_bytes(wav())
    begun = time.monotonic()
    with pytest.raises(MediaError, match=r"longer than 0\.3 s"):
        decode_upload(
            upload,
            files_in(tmp_path),
            48_000,
            replace(SETTINGS, ffmpeg=str(slow), timeout_s=0.3),
        )
    assert time.monotonic() - begun < 3


def test_a_decoder_that_wants_too_much_memory_is_refused(tmp_path: Path) -> None:
    greedy = tmp_path / "greedy"
    greedy.write_text(f"#!{sys.executable}\nx = bytearray(3 << 30)\n")
    greedy.chmod(0o755)
    upload = tmp_path / "upload"
    upload.write_bytes(wav())
    with pytest.raises(MediaError):
        decode_upload(upload, files_in(tmp_path), 48_000, replace(SETTINGS, ffmpeg=str(greedy)))


def test_a_missing_decoder_is_named(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(wav())
    with pytest.raises(DecoderMissingError):
        probe_upload(upload, replace(SETTINGS, ffmpeg=str(tmp_path / "nothing")))


def test_the_decoder_dies_with_its_parent(tmp_path: Path) -> None:
    slow, pid_file = tmp_path / "slow", tmp_path / "pid"
    slow.write_text(
        f"#!/bin/sh\necho $$ > {pid_file}.part; mv {pid_file}.part {pid_file}\nexec sleep 60\n"
    )
    slow.chmod(0o755)
    (tmp_path / "upload").write_bytes(wav())
    script = (
        "import sys; from pathlib import Path; from broadcaster.speech.decode import *;"
        f"root = Path({str(tmp_path)!r});"
        "from broadcaster.speech.sound_files import SoundFiles;"
        f"decode_upload(root / 'upload', SoundFiles(root / 's', root / 'm'), 48000, "
        f"DecodeSettings({str(slow)!r}, 1024, 60, 60))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    deadline = time.monotonic() + 10
    while not pid_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = Path(f"/proc/{int(pid_file.read_text())}")
    assert child.exists()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while child.exists() and "Z" not in (child / "stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < deadline, "the decoder outlived its parent"
        time.sleep(0.02)


def test_a_short_upload_is_decoded_at_the_first_look(tmp_path: Path) -> None:
    upload, heard_in, decoded_in = (tmp_path / name for name in ("upload", "heard", "decoded"))
    upload.write_bytes(wav(2.5, rate=44_100))
    for folder in (heard_in, decoded_in):
        folder.mkdir()
    loud = replace(SETTINGS, loudness_lufs=-16.0)
    heard = hear_upload(upload, files_in(heard_in), 48_000, loud)
    assert heard.decoded == decode_upload(upload, files_in(decoded_in), 48_000, loud)
    assert heard.length_s == pytest.approx(2.5, abs=0.001)
    for name in ("sound.s16", "sound16k.f32"):
        assert (heard_in / name).read_bytes() == (decoded_in / name).read_bytes()
    assert {p.name for p in heard_in.iterdir()} == {"sound.s16", "sound16k.f32"}


@pytest.mark.parametrize(("seconds", "rate"), [(20, 8_000), (200, 24_000)])
def test_a_long_upload_is_only_looked_at(tmp_path: Path, seconds: int, rate: int) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(wav(seconds, rate=rate))
    assert (upload.stat().st_size > SHORT_BYTES) == (seconds == 200)
    patient = replace(SETTINGS, max_sound_s=300)
    heard = hear_upload(upload, files_in(tmp_path), 48_000, patient)
    assert heard.decoded is None
    assert heard.length_s == pytest.approx(seconds, abs=0.01)
    with pytest.raises(MediaTooLongError, match=r"longer than 15 s"):
        hear_upload(upload, files_in(tmp_path), 48_000, replace(SETTINGS, max_sound_s=15))
    with pytest.raises(MediaTooLongError, match=r"longer than 5 s"):
        hear_upload(upload, files_in(tmp_path), 48_000, replace(SETTINGS, max_sound_s=5))
    assert {p.name for p in tmp_path.iterdir()} == {"upload"}


def test_no_numbers_are_found_at_the_first_look_however_long_the_sound(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    for seconds in (1, 30):
        soundfile.write(
            upload, np.full(8000 * seconds, np.nan, np.float32), 8000, "FLOAT", format="WAV"
        )
        with pytest.raises(MediaError, match="no valid samples"):
            hear_upload(upload, files_in(tmp_path), 48_000, SETTINGS)
    assert {p.name for p in tmp_path.iterdir()} == {"upload"}
