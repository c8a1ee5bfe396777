"""A voice's child that fails on purpose: ``python faulty_voice.py FAULT``.

Speaks the real wire; what goes wrong, and when, is the argument.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from broadcaster.processes import die_with_parent
from broadcaster.speech.voices.espeak_wire import (
    DONE,
    PHONEMES,
    READY,
    REFUSED,
    SOUND,
    frame,
)

FOR_EVER_S = 3600


def main() -> None:
    die_with_parent()
    fault = sys.argv[1]
    if fault == "never ready":
        time.sleep(FOR_EVER_S)
    if fault == "dies at once":
        return
    if fault == "not installed":
        say(frame(REFUSED, b"the espeak-ng library cannot be loaded"))
        return
    say(frame(READY, json.dumps({"sample_rate": 8000}).encode()))
    for _ in sys.stdin.buffer:
        say(frame(PHONEMES, b'[[0, "a"]]') + frame(SOUND, b"\x00\x10" * 800))
        if fault == "hangs":
            time.sleep(FOR_EVER_S)
        if fault == "dies":
            return
        if fault == "nonsense":
            say(b"Segmentation fault (core dumped)\n")
        if fault == "bad phonemes":
            say(frame(PHONEMES, b"{"))
        while fault == "never stops":
            say(frame(SOUND, b"\x00\x10" * 8000))
        say(frame(DONE))


def say(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
