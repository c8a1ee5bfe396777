#!/usr/bin/env python3
"""Stands in for FFmpeg as a push process: same arguments, faults by environment.

FAKE_FFMPEG holds words: ``exit-at-frame=N`` · ``exit-code=N`` · ``ignore-sigterm`` ·
``stop-reading=N`` (after N pictures, stay alive) · ``no-bytes`` (progress whose total_size stands
still) · ``no-progress`` · ``garbage`` (flood stderr) · ``say=TEXT`` (one stderr line at the end,
underscores for spaces) · ``close-progress`` · ``hold=PATH`` (read nothing while that file exists) ·
``tee=PATH`` (write there, at the end, what was read).
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path


def executable(folder: Path, faults: str = "") -> str:
    """A program to hand over as ``push.ffmpeg``, with these faults built in."""
    script = folder / "ffmpeg"
    script.write_text(
        f"#!/bin/sh\nFAKE_FFMPEG='{faults}' exec '{sys.executable}' '{Path(__file__)}' \"$@\"\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


class _Fake:
    def __init__(self, argv: list[str], faults: str) -> None:
        pairs = (word.partition("=")[::2] for word in faults.split())
        self.faults = {key: value or "1" for key, value in pairs}
        self.progress = int(argv[argv.index("-progress") + 1].removeprefix("pipe:"))
        self.frames = self.bytes = 0
        self.copy = bytearray()

    def run(self) -> int:
        if "ignore-sigterm" in self.faults:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "garbage" in self.faults:
            threading.Thread(target=self._flood, daemon=True).start()
        if "close-progress" in self.faults:
            os.close(self.progress)
            self.faults["no-progress"] = "1"
        if "no-progress" not in self.faults:
            threading.Thread(target=self._report, daemon=True).start()
        self._read(13)
        while header := self._read(11):
            size = int.from_bytes(header[1:4], "big")
            body = self._read(size + 4)
            self.bytes += size
            if header[0] == 9 and body[1] == 1:
                self.frames += 1
                self._maybe_stop()
        return self._leave()

    def _maybe_stop(self) -> None:
        if self.frames == int(self.faults.get("exit-at-frame", -1)):
            sys.exit(self._leave())
        if self.frames == int(self.faults.get("stop-reading", -1)):
            while True:
                time.sleep(3600)

    def _leave(self) -> int:
        if "tee" in self.faults:
            Path(self.faults["tee"]).write_bytes(self.copy)
        if "say" in self.faults:
            print(self.faults["say"].replace("_", " "), file=sys.stderr, flush=True)
        return int(self.faults.get("exit-code", 0))

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            while "hold" in self.faults and Path(self.faults["hold"]).exists():
                time.sleep(0.002)
            more = os.read(0, count - len(data))
            if not more:
                return b""
            data += more
        if "tee" in self.faults:
            self.copy += data
        return data

    def _report(self) -> None:
        while True:
            if self.frames:
                total = 100 if "no-bytes" in self.faults else self.bytes
                text = (
                    f"frame={self.frames}\ntotal_size={total}\nout_time_us=0\nprogress=continue\n"
                )
                os.write(self.progress, text.encode())
            time.sleep(0.25)

    @staticmethod
    def _flood() -> None:
        block = (b"x" * 200 + b" rtmp://host/app/SECRETKEY\n") * 200
        while True:
            os.write(2, block)


if __name__ == "__main__":
    sys.exit(_Fake(sys.argv, os.environ.get("FAKE_FFMPEG", "")).run())
