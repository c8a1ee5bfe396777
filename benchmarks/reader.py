"""A viewer in a process of its own: pulls a stream, decodes it at once, judges times.

    python -m benchmarks.reader URL SECONDS [--stamped]

Prints one JSON object: ``latency_ms`` of stamped pictures (from the moment at which the source was
asked for them until they are decoded here), the steps between timestamps, and decode errors.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from typing import Any

import av
import numpy as np

from benchmarks.air import read_stamp
from broadcaster.processes import die_with_parent

SKIP_S = 2.0
"""A reader that joins is first given what the relay and its own probing had held back."""


def read(url: str, seconds: float, stamped: bool) -> dict[str, Any]:
    """Read for so long."""
    latency_ms: list[float] = []
    steps: dict[str, Counter[int]] = {"video": Counter(), "audio": Counter()}
    last: dict[str, int] = {}
    errors = 0
    # No options: with any, rtmp:// crashes in the libraries of the PyAV 17.0.1 wheel.
    with av.open(url, timeout=(15, 5)) as source:
        decoder = source.streams.video[0].codec_context
        decoder.thread_count = 1  # frame threads would hold pictures back
        decoder.flags |= av.codec.context.Flags.low_delay
        begun = time.monotonic()
        for packet in source.demux():
            now = time.monotonic()
            if now - begun > seconds + SKIP_S:
                break
            if packet.dts is None or packet.time_base is None:
                continue
            kind = packet.stream.type
            if kind in last:
                steps[kind][round((packet.dts - last[kind]) * float(packet.time_base) * 1000)] += 1
            last[kind] = packet.dts
            if kind != "video":
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                errors += 1
                continue
            decoded_ms = time.monotonic_ns() / 1e6
            if stamped and now - begun > SKIP_S:
                latency_ms += [lag for f in frames if (lag := _lag_ms(f, decoded_ms)) is not None]
    return {
        "latency_ms": latency_ms,
        "decode_errors": errors,
        **{f"{kind}_steps_ms": dict(sorted(found.items())) for kind, found in steps.items()},
    }


def _lag_ms(frame: av.VideoFrame, decoded_ms: float) -> float | None:
    plane = frame.planes[0]
    luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    stamp = read_stamp(luma, frame.width)
    if stamp is None:
        return None
    lag = decoded_ms - (int(decoded_ms) & ~0xFFFFFFFF | stamp)
    return lag if 0 <= lag < 60_000 else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--stamped", action="store_true")
    options = parser.parse_args()
    die_with_parent()
    print(json.dumps(read(options.url, options.seconds, options.stamped)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
