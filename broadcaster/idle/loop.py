"""An encoded loop: its packets, its sound, and its folder on disk.

Folder layout: ``video.bin`` (packets end to end), ``sizes.npy`` (uint32: CRC-32 of that file, then
their lengths), ``headers.json``, and for an audible loop ``sound.npy`` (float32, shape (2, n)) with
``aac.bin`` and ``aac_sizes.npy`` where its packets could be made in advance.
"""

from __future__ import annotations

import json
import mmap
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadcaster.codec.nal import ParameterSets
from broadcaster.codec.sound_line import IdleSound, Silence, SoundLoop
from broadcaster.errors import SourceError
from broadcaster.formats import EncodeFormat


@dataclass(frozen=True, slots=True)
class EncodedLoop:
    """A loop ready for the air: packet ``i`` is an IDR where ``i`` is a multiple of the GOP."""

    title: str
    packets: Sequence[bytes | memoryview]
    parameter_sets: ParameterSets
    sound: IdleSound


@dataclass(frozen=True, slots=True)
class LoopSound:
    """The sound of an audible loop: its samples and, where possible, its packets."""

    pcm: NDArray[np.float32]
    packets: tuple[bytes, ...] | None


def _write_packets(folder: Path, stem: str, sizes: str, packets: Sequence[bytes]) -> None:
    data = b"".join(packets)
    (folder / stem).write_bytes(data)
    np.save(folder / sizes, np.array([zlib.crc32(data), *(len(p) for p in packets)], np.uint32))


def save_loop(
    folder: Path,
    title: str,
    packets: Sequence[bytes],
    parameter_sets: ParameterSets,
    sound: LoopSound | None,
) -> None:
    """Write a loop so that a reader finds either all of it or nothing."""
    draft = folder.with_name(folder.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _write_packets(draft, "video.bin", "sizes.npy", packets)
    if sound is not None:
        np.save(draft / "sound.npy", sound.pcm)
        if sound.packets is not None:
            _write_packets(draft, "aac.bin", "aac_sizes.npy", sound.packets)
    headers = {"title": title, "sps": parameter_sets.sps.hex(), "pps": parameter_sets.pps.hex()}
    (draft / "headers.json").write_text(json.dumps(headers))
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _read_packets(folder: Path, stem: str, sizes: str) -> list[memoryview]:
    with (folder / stem).open("rb") as handle:
        data = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
    checksum, *lengths = np.load(folder / sizes).tolist()
    ends = np.cumsum(lengths, dtype=np.int64)
    if not len(ends) or int(ends[-1]) != len(data) or zlib.crc32(data) != checksum:
        raise ValueError(f"{stem} and {sizes} disagree")  # a power cut leaves zeros for data
    starts = [0, *ends[:-1].tolist()]
    return [data[start:end] for start, end in zip(starts, ends.tolist(), strict=True)]


def load_loop(folder: Path, fmt: EncodeFormat) -> EncodedLoop:
    """Map a loop from its folder.

    Raises:
        SourceError: nothing usable is there.
    """
    try:
        headers = json.loads((folder / "headers.json").read_text())
        sets = ParameterSets(bytes.fromhex(headers["sps"]), bytes.fromhex(headers["pps"]))
        packets = _read_packets(folder, "video.bin", "sizes.npy")
        if len(packets) % fmt.gop_ticks:
            raise ValueError("the loop is not a whole number of GOPs")
        sound: IdleSound = Silence(fmt.audio)
        if (folder / "sound.npy").exists():
            aac = None
            if (folder / "aac.bin").exists():
                aac = tuple(bytes(p) for p in _read_packets(folder, "aac.bin", "aac_sizes.npy"))
            sound = SoundLoop(np.load(folder / "sound.npy", mmap_mode="r"), aac)
        return EncodedLoop(headers["title"], packets, sets, sound)
    except (OSError, ValueError, LookupError, TypeError, EOFError) as error:
        raise SourceError(f"no usable loop in {folder.name}: {error}") from error
