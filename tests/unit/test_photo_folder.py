"""An avatar's folder that somebody has tampered with is refused, naming file and field."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_pool.engines.face import AvatarRefused
from gpu_pool.engines.photo import create_avatar, read_avatar
from gpu_pool.engines.photo.folder import read_summary
from tests.doubles.portrait import HANDLES, film, photograph, save


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("avatars")
    create_avatar(
        save(folder / "a.png", photograph()), folder / "picture", name="A", handles=HANDLES
    )
    clip = film(folder / "a.mp4", (photograph() for _ in range(15)))
    create_avatar(clip, folder / "clip", name="A", handles=HANDLES, models=folder / "none")
    return folder


@pytest.fixture(params=["picture", "clip"])
def avatar(request: pytest.FixtureRequest, originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / request.param, tmp_path / "avatar"))


@pytest.fixture
def picture(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "picture", tmp_path / "avatar"))


@pytest.fixture
def clip(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals / "clip", tmp_path / "avatar"))


def change(folder: Path, **fields: Any) -> None:
    file = folder / "avatar.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def swap(folder: Path, name: str, data: bytes) -> None:
    """Another file, with a table that describes it truly."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "avatar.json").read_text())["files"]
    files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change(folder, files=files)


def packed(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def test_a_folder_as_it_was_made_is_read(avatar: Path) -> None:
    assert read_avatar(avatar).summary == read_summary(avatar)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": 2}, "format 2 is not known"),
        ({"format": None}, "format None"),
        ({"kind": "exe"}, "kind: one of picture, clip"),
        ({"kind": ["clip"]}, "kind"),
        ({"width": 10**9}, "width: it has to be from 64 to 1920"),
        ({"width": "640"}, "width: a number"),
        ({"width": True}, "width: a number"),
        ({"width": 640.5}, "width: a whole number"),
        ({"width": 641}, "width: sides have to be even"),
        ({"height": math.nan}, "height"),
        ({"height": -math.inf}, "height"),
        ({"pictures": 0}, "pictures"),
        ({"pictures": 10**7}, "pictures"),
        ({"fps": 1e9}, "fps"),
        ({"fps": -1}, "fps"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 200}, "name"),
        ({"name": 7}, "name"),
        ({"handles": None}, "handles: an object"),
        ({"handles": {"chin": [1, 1]}}, "handles: left_eye"),
        ({"found_by": "magic"}, "found_by"),
        ({"teeth_at": 99}, "teeth_at"),
        ({"warnings": "none"}, "warnings"),
        ({"warnings": ["x" * 1000]}, "warnings"),
        ({"warnings": ["x"] * 100}, "warnings"),
        ({"source_sha256": None}, "source_sha256"),
    ],
)
def test_a_wrong_field_is_named(avatar: Path, fields: dict[str, Any], words: str) -> None:
    change(avatar, **fields)
    with pytest.raises(AvatarRefused, match=rf"avatar\.json: {words}"):
        read_summary(avatar)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000, b" " * 70_000, b"null"]
)
def test_a_table_that_is_none_is_refused(avatar: Path, text: bytes) -> None:
    (avatar / "avatar.json").write_bytes(text)
    with pytest.raises(AvatarRefused, match=r"avatar\.json"):
        read_avatar(avatar)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AvatarRefused, match=r"avatar\.json: it cannot be read"):
        read_avatar(tmp_path / "nobody")


@pytest.mark.parametrize("name", ["track.npz", "thumbnail.webp"])
def test_a_missing_or_changed_file_is_named(avatar: Path, name: str) -> None:
    data = (avatar / name).read_bytes()
    (avatar / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(AvatarRefused, match=f"{name}: it is not the file that"):
        read_avatar(avatar)
    (avatar / name).unlink()
    with pytest.raises(AvatarRefused, match=f"{name}: it cannot be read"):
        read_avatar(avatar)


@pytest.mark.parametrize("files", [None, [], {}, {"track.npz": 3}])
def test_files_have_to_be_described(avatar: Path, files: object) -> None:
    change(avatar, files=files)
    with pytest.raises(AvatarRefused, match=r"files: .* is missing"):
        read_avatar(avatar)


class _Trap:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (Path("/tmp/an-avatar-was-unpickled"),)


def pickled() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        array = io.BytesIO()
        np.lib.format.write_array(array, np.array([_Trap()], object), allow_pickle=True)
        archive.writestr("points.npy", array.getvalue())
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", bytes(1 << 20))
    return out.getvalue()


def header_only(shape: str) -> bytes:
    """An array that says it is huge, and holds nothing."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    head = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("points.npy", head)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zip",
        pickle.dumps(_Trap()),
        pickled(),
        bomb(),
        header_only("(1, 69, 2)"),
        packed(points=np.zeros((1, 69, 2), np.float64)),
        packed(points=np.zeros((2, 69, 2), np.float32)),
        packed(points=np.zeros((1, 68, 2), np.float32)),
        packed(points=np.full((1, 69, 2), np.nan, np.float32)),
        packed(points=np.full((1, 69, 2), 1e9, np.float32)),
        packed(points=np.zeros((1, 69, 2), np.float32), more=np.zeros(1)),
        packed(other=np.zeros((1, 69, 2), np.float32)),
    ],
    ids=range(13),
)
def test_a_hostile_track_is_refused(picture: Path, data: bytes) -> None:
    swap(picture, "track.npz", data)
    with pytest.raises(AvatarRefused, match=r"track\.npz"):
        read_avatar(picture)
    assert not Path("/tmp/an-avatar-was-unpickled").exists()


def test_a_picture_of_another_size_is_refused(picture: Path, tmp_path: Path) -> None:
    small = save(tmp_path / "small.webp", photograph()[:180, :320]).read_bytes()
    swap(picture, "picture.webp", small)
    with pytest.raises(AvatarRefused, match=r"picture\.webp: its size"):
        read_avatar(picture)


@pytest.mark.parametrize(
    ("pictures", "options", "words"),
    [
        (12, {}, "pictures: 12, but 15"),
        (15, {"codec": "mpeg4"}, "H.264 in yuv420p"),
        (130, {"g": "130", "keyint_min": "130", "sc_threshold": "0"}, "key pictures are too far"),
    ],
)
def test_a_clip_that_we_would_not_have_made_is_refused(
    clip: Path, tmp_path: Path, pictures: int, options: dict[str, str], words: str
) -> None:
    other = film(tmp_path / "other.mp4", [photograph()] * pictures, **options)  # type: ignore[arg-type]
    if pictures > 15:
        change(clip, pictures=pictures)
        swap(clip, "track.npz", packed(points=np.zeros((pictures, 69, 2), np.float32)))
    swap(clip, "clip.mp4", other.read_bytes())
    with pytest.raises(AvatarRefused, match=rf"clip\.mp4: {words}"):
        read_avatar(clip)


@pytest.mark.parametrize("data", [b"", b"x" * 1000, b"\0\0\0\x18ftypisom" + bytes(500)])
def test_a_clip_that_is_none_is_refused(clip: Path, data: bytes) -> None:
    swap(clip, "clip.mp4", data)
    with pytest.raises(AvatarRefused, match=r"clip\.mp4 cannot be read"):
        read_avatar(clip)
