"""The child that speaks: ``python -m broadcaster.speech.voices.espeak_child``.

The only module that loads libespeak-ng (GPL-3), from the espeakng-loader wheel. Requests come on
stdin, a line each; sound and phoneme starts go to stdout as frames. Ends with its parent or at the
end of stdin. Must import nothing heavy: the first sound of a cold voice waits for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys

from broadcaster.processes import die_with_parent, set_priority
from broadcaster.speech.voices.espeak_wire import (
    DONE,
    PHONEMES,
    READY,
    REFUSED,
    SOUND,
    Request,
    frame,
    read_request,
)

MEMORY_BYTES = 512 << 20
"""Address space: Python and the library take 60 MB, the rest is for a hostile text."""

CPU_S_PER_REQUEST = 10
"""A sentence of 400 characters takes 0.1 s."""

NICE = 10
"""Speaking gives way to the playout."""

BUFFER_MS = 100
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS
_PHONEME_EVENTS, _IPA_NAMES, _DO_NOT_EXIT = 0x0001, 0x0002, 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1
_PHONEME = 7


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; its last member is a union of eight bytes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """libespeak-ng, opened once; ``out`` takes the frames."""

    def __init__(self, out: int) -> None:
        import espeakng_loader  # noqa: PLC0415 - missing is reported to the parent

        self._out = out
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate = int(
            self._library.espeak_Initialize(
                _SYNCHRONOUS,
                BUFFER_MS,
                espeakng_loader.get_data_path().encode(),
                _PHONEME_EVENTS | _IPA_NAMES | _DO_NOT_EXIT,
            )
        )
        if self.sample_rate <= 0:
            raise OSError("espeak-ng cannot be initialised")
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, request: Request) -> None:
        """Write the frames of one sentence.

        Raises:
            ValueError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(request.voice.encode()) != 0:
            raise ValueError(f"there is no voice {request.voice}")
        self._library.espeak_SetParameter(_RATE, request.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, request.pitch, 0)
        data = request.text.encode("utf-8", "ignore") + b"\0"
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, ctypes.c_void_p(None)
        )

    def _take(self, wave: int | None, samples: int, events: ctypes._Pointer[_Event]) -> int:
        starts, index = [], 0
        while events[index].type != 0:
            event = events[index]
            if event.type == _PHONEME:
                starts.append((event.sample, event.name.decode("utf-8", "replace")))
            index += 1
        if starts:
            _write(self._out, frame(PHONEMES, json.dumps(starts).encode()))
        if wave and samples > 0:
            _write(self._out, frame(SOUND, ctypes.string_at(wave, samples * 2)))
        return 0


def main() -> int:
    """Answer requests until stdin ends."""
    die_with_parent()
    set_priority(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what the library may print is no frame
    try:
        library = Library(out)
    except (ImportError, OSError):
        _write(out, frame(REFUSED, b"the espeak-ng library cannot be loaded"))
        return 1
    _write(out, frame(READY, json.dumps({"sample_rate": library.sample_rate}).encode()))
    for line in sys.stdin.buffer:
        _allow_cpu()
        try:
            library.speak(read_request(line))
            _write(out, frame(DONE))
        except (ValueError, TypeError) as error:
            _write(out, frame(REFUSED, str(error).encode()))
    return 0


def _allow_cpu() -> None:
    """The limit counts the whole life of a process; each request moves it on."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime) + CPU_S_PER_REQUEST
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, resource.RLIM_INFINITY))


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    raise SystemExit(main())
