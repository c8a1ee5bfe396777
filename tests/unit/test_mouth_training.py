"""The training of the mouth network: texts, labels, augmentation, and the file that ships."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpu_pool.engines.mouth.features import MelStream
from gpu_pool.engines.mouth.net import NetStream, Weights
from gpu_pool.engines.mouth.phonemes import Segment
from gpu_pool.engines.mouth.visemes import INDEX
from gpu_pool.training.mouth import recorded
from gpu_pool.training.mouth.augment import CROP_FRAMES, FRAME, draw, splice
from gpu_pool.training.mouth.corpus import TRAINED_VARIANTS, UNSEEN_VARIANTS, Clip
from gpu_pool.training.mouth.disturb import Disturbance
from gpu_pool.training.mouth.texts import HELD_OUT_LANGUAGES, SENTENCES, spoken_text, words
from tests.doubles.labelled_speech import slt


def test_more_than_twenty_languages_are_trained_and_some_are_kept_for_the_tests() -> None:
    assert len(set(SENTENCES) - set(HELD_OUT_LANGUAGES)) >= 20
    assert set(HELD_OUT_LANGUAGES) < set(SENTENCES)
    assert not set(TRAINED_VARIANTS) & set(UNSEEN_VARIANTS)


def test_every_language_has_something_to_say() -> None:
    rng = random.Random(1)
    for language in SENTENCES:
        assert len(words(language)) >= 20
        assert all(len(spoken_text(rng, language)) > 8 for _ in range(20))


def test_the_test_speakers_are_never_trained() -> None:
    trained = {voice.voice for voice in recorded.TRAINED}
    assert not trained & {voice.voice for voice in recorded.NEVER_TRAINED}
    assert not any("slt" in voice for voice in trained)


def test_every_phone_of_the_recorded_voices_is_a_known_viseme() -> None:
    for voice in (*recorded.TRAINED, *recorded.NEVER_TRAINED):
        named = {part for names in voice.phones for part in names.split("+")}
        assert named <= set(INDEX)
        phones = [phone for listed in voice.phones.values() for phone in listed.split()]
        assert len(phones) == len(set(phones))


def test_every_sound_of_every_language_has_a_viseme() -> None:
    """In a process of its own: espeak-ng is GPL and stays out of this one."""
    code = (
        "from gpu_pool.engines.mouth.visemes import ipa_visemes\n"
        "from gpu_pool.training.mouth.espeak import Espeak, Manner\n"
        "from gpu_pool.training.mouth.texts import SENTENCES\n"
        "teacher = Espeak()\n"
        "for language, sentences in SENTENCES.items():\n"
        "    sound, told = teacher.speak(' '.join(sentences), Manner(language, 165, 50, 50))\n"
        "    names = [name for name, _, _ in told if name]\n"
        "    dumb = [name for name in names if not ipa_visemes(name)]\n"
        "    assert len(names) > 100 and sound.any(), language\n"
        "    assert len(dumb) < 0.08 * len(names), (language, dumb)\n"
        "    times = [edge for _, start, end in told for edge in (start, end)]\n"
        "    assert times == sorted(times), language\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def clips() -> list[Clip]:
    """Half a second of noise labelled "aa" between half seconds of silence."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(8):
        sound = np.zeros(3 * 16_000, np.int16)
        spoken = []
        for start_s in (0.0, 1.0, 2.0):
            at = int((start_s + 0.5) * 16_000)
            sound[at : at + 8000] = rng.normal(0, 5000, 8000)
            spoken.append(Segment(start_s, start_s + 0.5, INDEX["sil"]))
            spoken.append(Segment(start_s + 0.5, start_s + 1.0, INDEX["aa"]))
        found.append(Clip("noise", sound, tuple(spoken)))
    return found


def test_labels_stay_with_their_sound_whatever_is_done_to_it() -> None:
    rng = np.random.default_rng(4)
    tape = splice(clips(), rng)
    disturbance = Disturbance(5, noises=2, tunes=2)
    agreed = []
    for _ in range(40):
        sound, visemes, curves = draw(tape, disturbance, rng)
        assert sound.shape == (CROP_FRAMES * FRAME,)
        assert visemes.shape == (CROP_FRAMES,)
        assert curves.shape == (CROP_FRAMES, 3)
        assert np.abs(sound).max() <= 1
        assert np.isfinite(sound).all()
        loud = np.log(np.mean(sound.reshape(CROP_FRAMES, FRAME) ** 2, axis=1) + 1e-9)
        if visemes.any():
            assert np.corrcoef(visemes == INDEX["aa"], curves[:, 0])[0, 1] > 0.9
            agreed.append(np.corrcoef(visemes == INDEX["aa"], loud)[0, 1])
        else:
            assert not curves.any()
    assert len(agreed) > 30
    assert np.median(agreed) > 0.6


def test_music_and_noise_are_new_at_every_draw_and_alike_for_a_seed() -> None:
    one, same = Disturbance(6, noises=2, tunes=2), Disturbance(6, noises=2, tunes=2)
    for make, again in ((one.music, same.music), (one.noise, same.noise)):
        first = make(16_000)
        np.testing.assert_array_equal(first, again(16_000))
        assert np.sqrt(np.mean(first**2)) == pytest.approx(1, abs=0.01)
        second = make(16_000)
        np.testing.assert_array_equal(second, again(16_000))
        assert not np.array_equal(first, second)


def test_the_shipped_format_gives_what_torch_gives(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is installed for training only")
    from gpu_pool.training.mouth.export import export  # noqa: PLC0415
    from gpu_pool.training.mouth.model import LogMel, MouthModel  # noqa: PLC0415

    torch.manual_seed(1)
    model = MouthModel().eval()
    for norm in (*(block.norm for block in model.blocks), model.norm):
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.5, 2)
    assert export(model, tmp_path / "net.npz") <= 450_000
    sound = np.concatenate([np.zeros(60 * FRAME, np.float32), slt().sound[: 200 * FRAME]])
    with torch.no_grad():
        told = model(LogMel()(torch.from_numpy(sound)[None]))[0].T
        told[:, :15] = torch.softmax(told[:, :15], 1)
    heard = NetStream(Weights.read(str(tmp_path / "net.npz"))).feed(sound)
    np.testing.assert_allclose(heard[60:], told.numpy()[60:], atol=5e-3)
    mel = MelStream().feed(sound)
    np.testing.assert_allclose(mel, LogMel()(torch.from_numpy(sound)[None])[0], atol=1e-3)
