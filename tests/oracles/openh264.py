"""The second, independent H.264 decoder: OpenH264, in a process of its own.

The PyAV that is on air has no OpenH264; an older one that has lies beside the venv's packages
(``requirements/openh264.txt``) and is never imported into this process.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from broadcaster.formats import AirTick, StreamHeaders

FOLDER = Path(os.environ.get("OPENH264_PYAV", Path(sysconfig.get_path("data")) / "openh264"))

_DECODER = """
import struct, sys
import av, numpy as np
source, sink = open(sys.argv[1], "rb"), open(sys.argv[2], "wb")
def block():
    size = source.read(4)
    return source.read(struct.unpack(">I", size)[0]) if size else None
context = av.CodecContext.create("libopenh264", "r")
context.extradata = block()
data = block()
while True:
    for frame in context.decode(av.Packet(data) if data else None):
        picture = np.ascontiguousarray(frame.to_ndarray(format="yuv420p"))
        sink.write(struct.pack(">II", *picture.shape) + picture.tobytes())
    if data is None:
        break
    data = block()
"""


def decode_video(ticks: Iterable[AirTick], headers: StreamHeaders) -> Iterator[NDArray[np.uint8]]:
    """The I420 pictures of a recording, shape (height * 3 / 2, width), by OpenH264.

    Decoding is done when the first picture is asked for; pictures wait on the disk.
    """
    with tempfile.TemporaryDirectory() as name:
        source, sink = Path(name) / "packets", Path(name) / "pictures"
        with source.open("wb") as out:
            for block in (headers.avc_config, *(bytes(t.video.payload) for t in ticks)):
                out.write(struct.pack(">I", len(block)) + block)
        environment = {**os.environ, "PYTHONPATH": str(FOLDER)}
        command = [sys.executable, "-c", _DECODER, str(source), str(sink)]
        subprocess.run(command, env=environment, check=True)
        with sink.open("rb") as pictures:
            while head := pictures.read(8):
                shape = struct.unpack(">II", head)
                data = pictures.read(shape[0] * shape[1])
                yield np.frombuffer(data, np.uint8).reshape(shape)
