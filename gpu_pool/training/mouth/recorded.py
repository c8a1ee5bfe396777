"""flite and festival as teachers: voices built from recorded people, with their own label times.

Second step of the training path. Both are Debian packages, run as programs; a voice whose package
is missing is passed over. The speaker slt is spoken for tests only, and so are the voices that
come under the GPL (Italian, Czech): no recording under it goes into the training.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from gpu_pool.engines.mouth.phonemes import Segment
from gpu_pool.engines.mouth.visemes import INDEX
from gpu_pool.training.mouth.texts import SENTENCES, words

_ENGLISH: Mapping[str, str] = {
    "PP": "p b m em",
    "FF": "f v",
    "TH": "th dh",
    "DD": "t d dx",
    "kk": "k g ng hh hv",
    "DD+CH": "ch jh",
    "CH": "sh zh",
    "SS": "s z",
    "nn": "n l en el nx",
    "RR": "r er axr",
    "aa": "aa ah ae",
    "E": "eh ax",
    "ih": "iy ih y",
    "oh": "ao",
    "ou": "uw uh w",
    "E+ih": "ey",
    "aa+ih": "ay",
    "aa+ou": "aw",
    "oh+ih": "oy",
    "oh+ou": "ow",
    "sil": "pau h# brth sil # _",
}
_RUSSIAN: Mapping[str, str] = {
    "PP": "p pp b bb m mm",
    "FF": "f ff v vv",
    "DD": "t tt d dd",
    "kk": "k kk g gg h hh",
    "DD+CH": "ch",
    "CH": "sh sch zh",
    "DD+SS": "c",
    "SS": "s ss z zz",
    "nn": "n nn l ll r rr",
    "aa": "aa a",
    "E": "ee e ae ay",
    "ih": "ii i yy y j",
    "oh": "oo",
    "ou": "uu u ur",
    "sil": "pau",
}
_FINNISH: Mapping[str, str] = {
    "PP": "p b m",
    "FF": "f v",
    "TH": "T",
    "DD": "t d",
    "kk": "k g h N",
    "CH": "S",
    "SS": "s",
    "nn": "n l L r",
    "aa": "a @",
    "E": "e 7 &",
    "ih": "i j",
    "oh": "o",
    "ou": "u y w",
    "sil": "#",
}
_ROMANCE: Mapping[str, str] = {
    "PP": "p b m",
    "FF": "f v nf",
    "DD": "t d",
    "kk": "k g ng",
    "DD+CH": "tS dZ",
    "CH": "S Z",
    "DD+SS": "ts dz",
    "SS": "s z",
    "nn": "n l r rr J L",
    "aa": "a",
    "E": "e E ax",
    "ih": "i j",
    "oh": "o O",
    "ou": "u w",
    "sil": "# pau _",
}
_CZECH: Mapping[str, str] = {
    "PP": "p b m",
    "FF": "f v",
    "DD": "t d t~ d~",
    "kk": "k g h ch n*",
    "DD+CH": "c~ dz~",
    "CH": "s~ z~ r~ r~*",
    "DD+SS": "c dz",
    "SS": "s z",
    "nn": "n n~ l r",
    "aa": "a",
    "E": "e",
    "ih": "i j",
    "oh": "o",
    "ou": "u",
    "sil": "# _",
}


@dataclass(frozen=True, slots=True)
class RecordedVoice:
    """One speaker of flite or festival; ``texts`` names the language in ``SENTENCES``."""

    engine: str
    voice: str
    texts: str
    phones: Mapping[str, str]
    encoding: str = "latin-1"

    @property
    def name(self) -> str:
        """``flite slt``."""
        return f"{self.engine} {self.voice}"


TRAINED = (
    RecordedVoice("flite", "awb", "en-us", _ENGLISH),
    RecordedVoice("flite", "rms", "en-us", _ENGLISH),
    RecordedVoice("festival", "kal_diphone", "en-us", _ENGLISH),
    RecordedVoice("festival", "ked_diphone", "en-us", _ENGLISH),
    RecordedVoice("festival", "msu_ru_nsh_clunits", "ru", _RUSSIAN, "utf-8"),
    RecordedVoice("festival", "suo_fi_lj_diphone", "fi", _FINNISH),
    RecordedVoice("festival", "hy_fi_mv_diphone", "fi", _FINNISH),
    RecordedVoice("festival", "upc_ca_ona_hts", "ca", _ROMANCE),
)
NEVER_TRAINED = (
    RecordedVoice("flite", "slt", "en-us", _ENGLISH),
    RecordedVoice("festival", "cmu_us_slt_arctic_hts", "en-us", _ENGLISH),
    RecordedVoice("festival", "lp_diphone", "it", _ROMANCE),
    RecordedVoice("festival", "pc_diphone", "it", _ROMANCE),
    RecordedVoice("festival", "czech_dita", "cs", _CZECH, "iso-8859-2"),
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Sound (int16, mono) at its own rate, and the visemes in it."""

    sound: NDArray[np.int16]
    sample_rate: int
    spoken: list[Segment]


@dataclass(frozen=True, slots=True)
class _Job:
    """One text to say, how slowly, and where the sound goes."""

    text: str
    stretch: float
    wave: Path


_Ends = list[tuple[str, float]]
"""Phones and their end times in seconds, as the synthesizer tells them."""

_AT_ONCE = 20


def speak(voice: RecordedVoice, texts: list[str], seed: int, folder: Path) -> Iterator[Spoken]:
    """Every text that the voice could say, at varied speeds; files go into ``folder`` and away."""
    rng = random.Random(seed)
    for first in range(0, len(texts), _AT_ONCE):
        jobs = [
            _Job(text, rng.uniform(0.85, 1.2), folder / f"{voice.voice}{number}.wav")
            for number, text in enumerate(texts[first : first + _AT_ONCE])
        ]
        said = _flite(voice, jobs) if voice.engine == "flite" else _festival(voice, jobs)
        for job, ends in zip(jobs, said, strict=True):
            if ends and job.wave.exists():
                sound, rate = soundfile.read(job.wave, dtype="int16")
                found = _segments(ends, voice, len(sound) / rate)
                if found:
                    yield Spoken(np.asarray(sound, np.int16), int(rate), found)
            job.wave.unlink(missing_ok=True)


def recorded_text(rng: random.Random, language: str) -> str:
    """A sentence or shuffled words, in letters that every festival voice can read."""
    if rng.random() < 0.35:
        return rng.choice(SENTENCES[language])
    drawn = [rng.choice(_plain_words(language)) for _ in range(rng.randint(6, 13))]
    return " ".join(drawn).capitalize() + "."


def _plain_words(language: str) -> list[str]:
    also = SENTENCES["en"] if language == "en-us" else ()
    extra = re.findall(r"[A-Za-z']+", " ".join(also))
    return [word for word in (*words(language), *extra) if not any(c.isdigit() for c in word)]


def _flite(voice: RecordedVoice, jobs: list[_Job]) -> list[_Ends]:
    said = []
    for job in jobs:
        command = ["flite", "-voice", voice.voice, "-psdur", "-t", job.text, "-o", str(job.wave)]
        command += ["--setf", f"duration_stretch={job.stretch:.2f}"]
        told = (each.rpartition(":") for each in _run(command).split())
        said.append([(phone, float(end)) for phone, _, end in told])
    return said


def _festival(voice: RecordedVoice, jobs: list[_Job]) -> list[_Ends]:
    """One process for all: loading a voice takes longer than a sentence."""
    lines = [f"(voice_{voice.voice})"]
    for job in jobs:
        text = job.text.replace('"', " ").replace("\\", " ")
        lines += [
            f"(Parameter.set 'Duration_Stretch {job.stretch:.2f})",
            f'(set! utt (utt.synth (Utterance Text "{text}")))',
            f'(utt.save.wave utt "{job.wave}" \'riff)',
            f'(utt.save.segs utt "{job.wave.with_suffix(".lab")}")',
        ]
    script = jobs[0].wave.with_suffix(".scm")
    script.write_bytes("\n".join(lines).encode(voice.encoding, "ignore"))
    _run(["festival", "-b", str(script)])
    script.unlink()
    return [_festival_labels(job.wave.with_suffix(".lab")) for job in jobs]


def _festival_labels(path: Path) -> _Ends:
    if not path.exists():
        return []
    rows = [line.split() for line in path.read_text("latin-1").splitlines()]
    path.unlink()
    return [(row[2], float(row[0])) for row in rows if len(row) == 3]


def _run(command: list[str]) -> str:
    """What a synthesizer says; a text that it cannot read gives nothing."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("latin-1") if done.returncode == 0 else ""


def _segments(ends: _Ends, voice: RecordedVoice, length_s: float) -> list[Segment]:
    """Visemes from phones with end times; nothing when labels and sound disagree by over 3 %."""
    drift = length_s / ends[-1][1] if ends[-1][1] > 0 else 0.0
    if not 0.97 < drift < 1.03:
        return []
    lookup = {
        phone: [INDEX[each] for each in visemes.split("+")]
        for visemes, phones in voice.phones.items()
        for phone in phones.split()
    }
    found: list[Segment] = []
    start_s = 0.0
    for phone, end in ends:
        end_s = end * drift
        plain = phone if phone in lookup else phone.rstrip("1:")
        if plain not in lookup:
            raise KeyError(f"{voice.name}: phone {phone!r} has no viseme")
        edges = np.linspace(start_s, end_s, len(lookup[plain]) + 1)
        found += [
            Segment(float(a), float(b), viseme)
            for a, b, viseme in zip(edges, edges[1:], lookup[plain], strict=False)
        ]
        start_s = end_s
    return found
