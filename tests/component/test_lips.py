"""The mouth of a spoken text comes from the voice's own phoneme times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from broadcaster.speech.decode import decode_upload
from broadcaster.speech.decoder import DecodeSettings
from broadcaster.speech.lips import write_mouths
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import Speaker

SETTINGS = DecodeSettings("ffmpeg", memory_mb=1024, timeout_s=30, max_sound_s=60)


def test_lips_close_on_every_b_and_open_on_every_a(tmp_path: Path) -> None:
    spoken, phonemes, mouths = (tmp_path / name for name in ("a.wav", "p.json", "m.npy"))
    files = SoundFiles(tmp_path / "s16", tmp_path / "f32")
    speaker = Speaker()
    try:
        speaker.speak("Papa, mama, papa, mama.", "espeak:en-us", spoken, phonemes)
    finally:
        speaker.close()
    made = decode_upload(spoken, files, 48_000, SETTINGS)
    assert write_mouths(phonemes, files.sound_16k, 25, mouths)
    track = np.load(mouths)
    assert track.shape == (-(-made.samples * 25 // 48_000), 6)
    opening = track[:, 0]
    assert opening.max() > 0.6
    shut = np.flatnonzero((opening[1:-1] < 0.1) & (opening[:-2] > 0.2) & (opening[2:] > 0.2))
    narrow = np.flatnonzero(np.diff(np.sign(np.diff(opening))) > 0)
    assert len(shut) + len(narrow) >= 4, "p and m in the middle of the words"
    assert opening[-1] < 0.05


def test_a_voice_that_tells_nothing_leaves_the_mouth_to_the_network(tmp_path: Path) -> None:
    assert not write_mouths(tmp_path / "none", tmp_path / "x", 25, tmp_path / "m.npy")
    assert not (tmp_path / "m.npy").exists()
