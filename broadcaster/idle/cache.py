"""Where encoded loops lie on disk, by content and settings."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from broadcaster.errors import BroadcasterError
from broadcaster.formats import EncodeFormat
from broadcaster.idle.loop import load_loop

ENCODE_REVISION = 3
"""Raise it when the bytes that encoding makes change."""

STALE_AFTER_S = 30 * 86400.0
"""A loop made for settings or clips that are gone is kept this long: they may come back."""


def content_hash(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def loop_key(fmt: EncodeFormat, **content: Any) -> str:  # noqa: ANN401
    """The name of a loop's folder: a hash of what it shows, the format and the codec build."""
    build = {"revision": ENCODE_REVISION, "libraries": av.library_versions["libavcodec"]}
    record = {"format": asdict(fmt), "content": content, "build": build}
    text = json.dumps(record, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def loop_folder(cache: Path, key: str) -> Path:
    """The folder of a loop."""
    return cache / "idle" / key


def forget_drafts(cache: Path) -> None:
    """Delete what preparations that were killed left behind; only one prepares at a time."""
    for draft in (cache / "idle").glob("*.draft"):
        shutil.rmtree(draft, ignore_errors=True)


def forget_stale(cache: Path, now_s: float) -> None:
    """Delete loops that nothing has asked for in a month; ``now_s`` is wall-clock seconds."""
    for folder in (cache / "idle").glob("*"):
        if now_s - folder.stat().st_mtime > STALE_AFTER_S:
            shutil.rmtree(folder, ignore_errors=True)


class LoopCache:
    """The loops of one format on disk.

    Args:
        cache: the station's cache folder.
        fmt: what the loops are encoded for.
    """

    def __init__(self, cache: Path, fmt: EncodeFormat) -> None:
        self._cache, self._fmt = cache, fmt
        self.used: set[str] = set()

    def get(self, key: str, make: Callable[[Path], None]) -> Path:
        """The folder of a loop; ``make`` fills it when it is not there or cannot be read."""
        self.used.add(key)
        folder = loop_folder(self._cache, key)
        try:
            load_loop(folder, self._fmt)
        except BroadcasterError:
            make(folder)
        os.utime(folder)
        return folder
