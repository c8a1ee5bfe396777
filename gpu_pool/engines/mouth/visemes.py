"""The visemes of the mouth network, their shapes, and which phonemes look like which.

Values shared by the network's training labels and by mouth tracks made from phoneme times. Must
know nothing of sound or of time.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

import numpy as np

VISEMES = (
    *("sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"),
)
"""The fifteen mouth shapes of the Oculus lip-sync set; the order is the network's output order."""

INDEX: Mapping[str, int] = {name: index for index, name in enumerate(VISEMES)}
SIL, PP, FF, TH, DD, NN = (INDEX[name] for name in ("sil", "PP", "FF", "TH", "DD", "nn"))

_SHAPES: Mapping[str, tuple[float, float, float]] = {
    "sil": (0.0, 0.0, 0.0),
    "PP": (0.0, 0.05, 0.1),
    "FF": (0.10, 0.10, 0.0),
    "TH": (0.22, 0.15, 0.0),
    "DD": (0.22, 0.20, 0.0),
    "kk": (0.30, 0.15, 0.0),
    "CH": (0.25, 0.0, 0.55),
    "SS": (0.13, 0.45, 0.0),
    "nn": (0.25, 0.20, 0.0),
    "RR": (0.28, 0.0, 0.40),
    "aa": (1.0, 0.15, 0.0),
    "E": (0.55, 0.45, 0.0),
    "ih": (0.32, 0.75, 0.0),
    "oh": (0.65, 0.0, 0.65),
    "ou": (0.28, 0.0, 1.0),
}
SHAPES = np.array([_SHAPES[name] for name in VISEMES], np.float32)
"""Open, wide and round (0 to 1) of each viseme when it is held; float32 (15, 3)."""

_LETTERS: Mapping[str, str] = {
    "PP": "pbmɓʙ",
    "FF": "fvɸβʋɱ",
    "TH": "θð",
    "DD": "tdʈɖɗ",
    "kk": "kɡgqɢŋxɣχhɦħʕʔʁcɟçʛɠɰ",
    "CH": "ʃʒɕʑʂʐ",
    "SS": "sz",
    "nn": "nlɲɳʎɭɫɬɮɾrɽɴ",
    "RR": "ɹɻɚɝɜʀ",
    "aa": "aɑɐʌäæɶ",
    "E": "eɛεəɘɞœ",
    "ih": "iɪɨjʝᵻ",
    "oh": "oɔɒɵɤ",
    "ou": "uʊwyʏʉøɥʍɯ",
}
_VISEME_OF: Mapping[str, int] = {
    letter: INDEX[name] for name, letters in _LETTERS.items() for letter in letters
}


def ipa_visemes(name: str) -> tuple[int, ...]:
    """Visemes of one IPA name, in order; a diphthong or an affricate gives several.

    Stress, length, tone and other marks are passed over. A pause (the empty name) is ``SIL``.
    A name without any known letter gives nothing.
    """
    if not name:
        return (SIL,)
    found: list[int] = []
    for letter in unicodedata.normalize("NFD", name):
        viseme = _VISEME_OF.get(letter)
        if viseme is not None and (not found or found[-1] != viseme):
            found.append(viseme)
    return tuple(found)


def is_stop(name: str) -> bool:
    """Whether the phoneme begins with a closed vocal tract: its silence belongs to it."""
    return name.lstrip("ˈˌ")[:1] in _STOPS


_STOPS = tuple("ptkcqbdɡgʈɖʔɟ")
