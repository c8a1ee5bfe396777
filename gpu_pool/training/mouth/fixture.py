"""``python -m gpu_pool.training.mouth.fixture FOLDER``: the labelled speech that the tests use.

flite's speaker slt, never trained, with the phone times that flite itself tells.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from gpu_pool.engines.mouth.features import SAMPLE_RATE
from gpu_pool.engines.mouth.phonemes import Segment
from gpu_pool.engines.mouth.visemes import SIL, VISEMES
from gpu_pool.training.mouth.recorded import NEVER_TRAINED, speak

TEXTS = [
    "Good evening. Both bridges over the river are open again, and the buses run on time.",
    "People from the village brought bread, plums, and a very large pumpkin to the mayor.",
    "Tomorrow will be warm, with a bit of fog above the meadows before breakfast.",
    "Thank you for watching, and please come back for the morning programme.",
]
PAUSE_S = 0.5
SEED = 5


def main() -> int:
    """Write ``slt.opus`` (16 kHz mono) and ``slt.json`` (visemes with their times).

    Opus takes a fifth of FLAC and correlates .9994 with it, without a lag.
    """
    folder = Path(sys.argv[1])
    voice = next(each for each in NEVER_TRAINED if each.name == "flite slt")
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), np.int16)
    sounds: list[NDArray[np.int16]] = [pause]
    spoken = [Segment(0.0, PAUSE_S, SIL)]
    at_s = PAUSE_S
    with tempfile.TemporaryDirectory() as work:
        for each in speak(voice, TEXTS, SEED, Path(work)):
            sounds += [each.sound, pause]
            spoken += [Segment(at_s + s.start_s, at_s + s.end_s, s.viseme) for s in each.spoken]
            end_s = at_s + len(each.sound) / SAMPLE_RATE
            spoken.append(Segment(spoken[-1].end_s, end_s + PAUSE_S, SIL))
            at_s = end_s + PAUSE_S
    soundfile.write(
        folder / "slt.opus", np.concatenate(sounds), SAMPLE_RATE, format="OGG", subtype="OPUS"
    )
    rows = [[round(s.start_s, 4), round(s.end_s, 4), VISEMES[s.viseme]] for s in spoken]
    about = "flite 2.2, voice slt (Carnegie Mellon University, BSD-like licence); see NOTICE"
    lines = ",\n".join(json.dumps(row) for row in rows)
    (folder / "slt.json").write_text(
        f'{{"about": {json.dumps(about)},\n"visemes": [\n{lines}\n]}}\n', encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
