"""A maker of avatars whose every fault is written in the file that it is given.

The source is JSON, such as ``{"steps": 3, "fault": "crash"}``; with ``until`` it goes on reporting
progress until that file is there. It runs in the real limited child.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from broadcaster.avatars.maker import Facts, Picture, Progress, Wanted
from broadcaster.errors import AvatarError

ENGINE = "tests.doubles.plaster_maker"
HANDLES = {"mouth_left": (10.0, 40.0), "mouth_right": (50.0, 40.0)}
SIZE = (64, 48)


def source(folder: Path, **script: Any) -> Path:
    """A file that this maker understands."""
    file = folder / "portrait.json"
    file.write_text(json.dumps(script))
    return file


def judge(wanted: Wanted) -> None:
    if not wanted.source.read_bytes().startswith(b"{"):
        raise AvatarError("this is no plaster")


def make(wanted: Wanted, files: Path, progress: Progress) -> None:
    judge(wanted)
    script = json.loads(wanted.source.read_bytes())
    (files / "half").write_bytes(bytes(1000))
    print("a library that prints")
    for number in range(script.get("steps", 2)):
        progress(number / 10, f"step {number}")
    while "until" in script and not Path(script["until"]).exists():
        progress(0.5, "waiting")
        time.sleep(0.02)
    if "begun" in script:
        Path(script["begun"]).touch()
    _fail(script.get("fault", ""), files)
    (files / "half").unlink()
    handles = wanted.handles or HANDLES
    _write(files, {"handles": handles, "warnings": script.get("warnings", []), "say": _tell()})


def _fail(fault: str, files: Path) -> None:
    if fault == "refuse":
        raise AvatarError("there is no face in it")
    if fault == "crash":
        os.abort()
    if fault == "bug":
        raise KeyError("a bug of the maker")
    if fault == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    if fault == "memory":
        np.ones((1 << 34,), np.uint8)
    while fault == "hang":
        time.sleep(1)
    while fault == "spin":
        pass
    if fault == "large":
        with (files / "half").open("wb") as file:
            file.truncate(3 << 30)
    if fault == "network":
        with socket.socket() as tried:
            tried.connect(("127.0.0.1", 9))


def _tell() -> dict[str, Any]:
    """What the child's surroundings are."""
    secrets = [name for name in os.environ if name.startswith("BROADCASTER_CHANNELS")]
    return {"nice": os.nice(0), "secrets": secrets, "argv": len(sys.argv)}


def _write(files: Path, told: Mapping[str, Any]) -> None:
    (files / "plaster.json").write_text(json.dumps(told))
    (files / "thumbnail.webp").write_bytes(b"RIFF")


def change_handles(files: Path, handles: Mapping[str, object]) -> None:
    if "nose" in handles:
        raise AvatarError("plaster has no nose")
    told = json.loads((files / "plaster.json").read_text())
    _write(files, {**told, "handles": handles})


def read(files: Path) -> Facts:
    try:
        told = json.loads((files / "plaster.json").read_text())
    except (OSError, ValueError) as error:
        raise AvatarError(f"{files}/plaster.json is broken") from error
    handles = {name: (float(x), float(y)) for name, (x, y) in told["handles"].items()}
    thumbnail = files / "thumbnail.webp"
    return Facts("picture", *SIZE, 1, thumbnail, handles, tuple(told["warnings"]))


def first_picture(files: Path) -> Picture:
    return np.zeros((SIZE[1], SIZE[0], 3), np.uint8)


def contact_sheet(files: Path, name: str) -> Picture:
    return np.zeros((30, 40, 3), np.uint8)
