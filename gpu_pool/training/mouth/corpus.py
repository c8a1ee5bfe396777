"""Everything the network hears: spoken by synthesizers, labelled, kept on disk at 16 kHz.

Third step of the training path. The corpus is made anew from seeds and never committed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from gpu_pool.engines.mouth.phonemes import Segment, closures_to_stops, segments
from gpu_pool.training.mouth import recorded
from gpu_pool.training.mouth.espeak import Espeak, Manner
from gpu_pool.training.mouth.texts import HELD_OUT_LANGUAGES, SENTENCES, spoken_text

SAMPLE_RATE = 16_000

TRAINED_VARIANTS = (
    *("", "", "f1", "f2", "f3", "f5", "m1", "m2", "m3", "m4", "m6", "m7", "m8", "klatt", "klatt2"),
    *("klatt4", "klatt5", "klatt6", "Alex", "Andrea", "Annie", "Gene", "Hugo", "Jacky", "Lee"),
    *("Mario", "Michael", "Mike", "Nguyen", "Reed", "Storm", "adam", "aunty", "benjamin", "boris"),
    *("caleb", "ed", "edward", "grandma", "iven", "kaukovalta", "linda", "max", "michel"),
    *("quincy", "robert", "sandro", "steph", "travis", "victor", "zac"),
)
UNSEEN_VARIANTS = (
    *("m5", "f4", "klatt3", "Denis", "Diogo", "anika", "belinda", "norbert", "pedro", "shelby"),
)
"""Voice variants of espeak-ng that are never trained."""

_OFTEN = {"en-us": 5, "en": 3, "cmn": 3, "de": 2, "fr": 2, "es": 2, "ru": 2, "pt-br": 2}
"""How many times likelier than others a language is drawn."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One utterance: int16 mono at 16 kHz, peak 30000 (or all zero), and its visemes."""

    speaker: str
    sound: NDArray[np.int16]
    spoken: tuple[Segment, ...]


def build(folder: Path, hours: float) -> None:
    """Make every set that is not on disk yet: training and tests.

    Args:
        folder: where the sets go, about 115 MB per hour.
        hours: of espeak-ng speech to train on; the recorded voices come on top.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen = [name for name in SENTENCES if name not in HELD_OUT_LANGUAGES]
    drawn = [name for name in seen for _ in range(_OFTEN.get(name, 1))]
    held = list(HELD_OUT_LANGUAGES)
    _keep(folder / "train_espeak.npz", lambda: _espeak(1, hours, TRAINED_VARIANTS, drawn))
    _keep(folder / "test_voices.npz", lambda: _espeak(2, 0.25, UNSEEN_VARIANTS, drawn))
    _keep(folder / "test_languages.npz", lambda: _espeak(3, 0.15, UNSEEN_VARIANTS, held))
    for number, voice in enumerate((*recorded.TRAINED, *recorded.NEVER_TRAINED)):
        trained = voice in recorded.TRAINED
        path = folder / f"{'train' if trained else 'test'}_{voice.engine}_{voice.voice}.npz"
        count = 260 if trained else 40
        _keep(path, lambda v=voice, n=number, c=count: _recorded(v, 100 + n, c, folder))  # type: ignore[misc]


def load(path: Path) -> list[Clip]:
    """A set that ``build`` made."""
    with np.load(path) as held:
        sound, bounds, rows = held["sound"], held["bounds"], held["segments"]
        speakers = [str(each) for each in held["speakers"]]
    clips = []
    for index, speaker in enumerate(speakers):
        mine = rows[rows[:, 3] == index]
        spoken = tuple(Segment(float(a), float(b), int(v)) for a, b, v, _ in mine)
        clips.append(Clip(speaker, sound[bounds[index] : bounds[index + 1]], spoken))
    return clips


def _keep(path: Path, make: Callable[[], Iterator[Clip]]) -> None:
    if path.exists():
        return
    clips = list(make())
    if not clips:
        print(f"{path.name}: no synthesizer for it", flush=True)
        return
    bounds = np.cumsum([0, *(len(clip.sound) for clip in clips)])
    rows = [
        (each.start_s, each.end_s, each.viseme, index)
        for index, clip in enumerate(clips)
        for each in clip.spoken
    ]
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        sound=np.concatenate([clip.sound for clip in clips]),
        bounds=bounds,
        segments=np.array(rows, np.float64),
        speakers=np.array([clip.speaker for clip in clips]),
    )
    part.rename(path)
    print(f"{path.name}: {len(clips)} clips, {bounds[-1] / SAMPLE_RATE / 3600:.2f} h", flush=True)


def _espeak(
    seed: int, hours: float, variants: tuple[str, ...], languages: list[str]
) -> Iterator[Clip]:
    rng, teacher, made_s = random.Random(seed), Espeak(), 0.0
    while made_s < hours * 3600:
        language, variant = rng.choice(languages), rng.choice(variants)
        manner = Manner(
            f"{language}+{variant}" if variant else language,
            words_per_minute=int(rng.triangular(110, 260, 165)),
            pitch=rng.randint(15, 85),
            pitch_range=rng.randint(15, 90),
        )
        sound, phonemes = teacher.speak(spoken_text(rng, language), manner)
        if len(sound) < teacher.sample_rate // 3 or not sound.any():
            continue
        plain = sound.astype(np.float32) / np.float32(32768)
        spoken = segments(closures_to_stops(phonemes, plain, teacher.sample_rate))
        made_s += len(sound) / teacher.sample_rate
        yield _clip(manner.voice, sound, teacher.sample_rate, spoken)


def _recorded(voice: recorded.RecordedVoice, seed: int, count: int, folder: Path) -> Iterator[Clip]:
    rng = random.Random(seed)
    texts = [recorded.recorded_text(rng, voice.texts) for _ in range(count)]
    for each in recorded.speak(voice, texts, seed, folder):
        yield _clip(voice.name, each.sound, each.sample_rate, each.spoken)


def _clip(speaker: str, sound: NDArray[np.int16], rate: int, spoken: list[Segment]) -> Clip:
    plain = soxr.resample(sound.astype(np.float32) / 32768, rate, SAMPLE_RATE)
    peak = max(float(np.abs(plain).max()), 1e-6)
    return Clip(speaker, (plain / peak * 30_000).astype(np.int16), tuple(spoken))
