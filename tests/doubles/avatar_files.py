"""Pictures and clips with and without faces, made of the station's own drawings."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import idle_media
from broadcaster.avatars.pictures import to_bgr
from gpu_pool.engines.presenter import Presenter

Bgr = NDArray[np.uint8]

HANDLES = {
    "left_eye": [598, 222],
    "right_eye": [682, 222],
    "mouth_left": [612, 284],
    "mouth_right": [668, 284],
    "upper_lip": [640, 284],
    "lower_lip": [640, 285],
    "chin": [640, 325],
}
"""Roughly Anna's, in a picture of 1280x720."""


@cache
def drawn(name: str, width: int = 1280, height: int = 720) -> Bgr:
    """A presenter as BGR."""
    atlas = idle_media.atlas(name, width, height)
    return to_bgr(Presenter.load(atlas, width, height).picture(0, 25))


def encoded(picture: Bgr, kind: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(kind, picture)[1])


@cache
def portrait(name: str = "anna") -> bytes:
    return encoded(drawn(name))


@cache
def two_faces() -> bytes:
    both = [drawn(name)[:, 320:960] for name in ("anna", "leon")]
    return encoded(np.hstack(both))


@cache
def no_face() -> bytes:
    across = np.linspace(0, 255, 640).astype(np.uint8)
    return encoded(np.repeat(np.tile(across, (360, 1))[..., None], 3, axis=2))


@cache
def far_face() -> bytes:
    """Ten pixels from chin to forehead."""
    small = cv2.resize(drawn("anna"), (64, 36), interpolation=cv2.INTER_AREA)
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[300:336, 600:664] = small
    return encoded(picture, ".png")


@cache
def four_k() -> bytes:
    large = cv2.resize(drawn("anna"), (3840, 2160), interpolation=cv2.INTER_CUBIC)
    return encoded(np.asarray(large, np.uint8))


@cache
def png_bomb(width: int = 10_000, height: int = 10_000) -> bytes:
    """A whole and valid PNG of black: a small file, a hundred million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    data = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@cache
def clip(seconds: float, fps: int = 25, width: int = 640, height: int = 360) -> bytes:
    """An MP4 of Anna, alive."""
    anna = Presenter.load(idle_media.atlas("anna", width, height), width, height)
    still = anna.picture(0, 25)
    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for tick in range(round(seconds * fps)):
            picture = anna.picture(tick, 25) if tick < 50 else still
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def film(pictures: list[Bgr], fps: int = 25) -> bytes:
    """An MP4 of any pictures."""
    out = BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return out.getvalue()
