"""espeak-ng as a teacher: any text to sound with exact phoneme times.

Second step of the training path. The library (GPL, from the espeakng-loader wheel) is loaded by
this training tool only; the network that it helps to train holds none of it.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_pool.engines.mouth.phonemes import Phoneme

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _IPA_NAMES, _DO_NOT_EXIT = 0x0001, 0x0002, 0x8000
_RATE, _PITCH, _RANGE = 1, 3, 4
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


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How to speak: the voice (``en-us+f3``), words per minute, pitch and its range (0 to 99)."""

    voice: str
    words_per_minute: int
    pitch: int
    pitch_range: int


class Espeak:
    """The library, opened once for the life of the process (its state is global)."""

    def __init__(self) -> None:
        import espeakng_loader  # noqa: PLC0415 - only the training has it

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS,
            0,
            espeakng_loader.get_data_path().encode(),
            _PHONEME_EVENTS | _IPA_NAMES | _DO_NOT_EXIT,
        )
        if self.sample_rate <= 0:
            raise RuntimeError("espeak-ng cannot be initialised")
        self._chunks: list[NDArray[np.int16]] = []
        self._starts: list[tuple[int, str]] = []
        self._callback = _Callback(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, manner: Manner) -> tuple[NDArray[np.int16], list[Phoneme]]:
        """Sound at ``sample_rate`` and its phonemes.

        Raises:
            ValueError: there is no such voice.
        """
        if self._library.espeak_SetVoiceByName(manner.voice.encode()) != 0:
            raise ValueError(f"no voice {manner.voice}")
        for number, value in (
            (_RATE, manner.words_per_minute),
            (_PITCH, manner.pitch),
            (_RANGE, manner.pitch_range),
        ):
            self._library.espeak_SetParameter(number, value, 0)
        self._chunks, self._starts = [], []
        data = text.encode() + b"\0"
        self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, 1, 0, _UTF8, None, ctypes.c_void_p(None)
        )
        sound = np.concatenate([np.zeros(0, np.int16), *self._chunks])
        return sound, self._phonemes(len(sound))

    def _phonemes(self, samples: int) -> list[Phoneme]:
        starts = [each for each in self._starts if not each[1].startswith("(")]
        ends = [sample for sample, _ in starts[1:]] + [samples]
        return [
            (name, sample / self.sample_rate, end / self.sample_rate)
            for (sample, name), end in zip(starts, ends, strict=True)
        ]

    def _take(self, wave: object, count: int, events: object) -> int:
        index = 0
        while events[index].type != 0:  # type: ignore[index]
            event = events[index]  # type: ignore[index]
            if event.type == _PHONEME:
                self._starts.append((event.sample, event.name.decode("utf-8", "replace")))
            index += 1
        if wave and count > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        return 0
