"""The mouth of a spoken text, from the voice's own phoneme times: better than hearing it.

Beside the text's sound, before rendering. Only numpy is used; a voice that does not tell its
phonemes leaves the mouth to the network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from broadcaster.speech.sound_files import MODEL_RATE_HZ
from gpu_pool.engines.mouth.phonemes import mouth_track


def write_mouths(phonemes: Path, sound_16k: Path, fps: int, mouths: Path) -> bool:
    """Write the mouth track of a spoken text.

    Args:
        phonemes: JSON as ``Speaker`` writes it, times from the start of the sound.
        sound_16k: the sound, float32 mono at 16 kHz.
        fps: pictures per second.
        mouths: gets a float32 array (pictures, 6) as ``.npy``.

    Returns:
        False when the voice told no phonemes; nothing is written then.

    Raises:
        OSError: no space, or the sound is gone.
        ValueError: the phonemes are not what ``Speaker`` writes.
    """
    if not phonemes.exists():
        return False
    told = json.loads(phonemes.read_text(encoding="utf-8"))["phonemes"]
    times = [(str(name), float(start), float(end)) for name, start, end in told]
    sound = np.fromfile(sound_16k, np.float32)
    track = mouth_track(times, len(sound) / MODEL_RATE_HZ, fps, sound, MODEL_RATE_HZ)
    np.save(mouths, track.astype(np.float32))
    return True
