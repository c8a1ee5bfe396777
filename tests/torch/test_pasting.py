"""Faces pasted on the network's device: the same picture as OpenCV's, within one level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gpu_pool.contracts import Picture
from gpu_pool.engines.latentsync.avatar import weighed
from gpu_pool.engines.latentsync.face import FACE_HEIGHT, FACE_WIDTH, Resampling, Seat, seat
from gpu_pool.engines.options import OptionsRefused
from gpu_pool.engines.pasting import (
    DevicePaste,
    HostPaste,
    How,
    Laid,
    Stretch,
    Warp,
    check_way,
    laid,
    pastes_on,
)
from gpu_pool.engines.photo.box import Bgr, Box
from gpu_pool.engines.photo.paste import Patch
from gpu_pool.engines.wav2lip.levels import levels as wav2lip_levels
from tests.oracles import recipe
from tests.unit.test_wav2lip_face import GOLDEN, frames, pasted_as

HEIGHT, WIDTH = 180, 320
CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@dataclass(frozen=True, slots=True)
class Shown:
    picture: Picture
    patch: Patch
    laid: Laid | None
    seat: Seat | None = None


def idle(number: int) -> Picture:
    planes = recipe.image(f"pasting/idle{number}", HEIGHT * 3 // 2, WIDTH)[..., 0]
    return np.clip(planes, 16, 235).astype(np.uint8)


def faces(count: int, rows: int, columns: int) -> NDArray[np.uint8]:
    """(count, rows, columns, 3) with edges as sharp as a network draws them."""
    drawn = [recipe.image(f"pasting/face{n}", rows, columns) for n in range(count)]
    return np.stack([cv2.GaussianBlur(each, (3, 3), 0) for each in drawn])


def both_ways(
    shown: Sequence[Shown], drawn: NDArray[np.uint8], shares: Sequence[float]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The pictures by OpenCV, and those of the device."""

    def paste(picture: Picture, where: Shown, face: Bgr, share: float) -> None:
        over = face if where.seat is None else where.seat.laid(face)
        where.patch.paste(picture, over, share)

    levels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float()
    made = []
    for way in (HostPaste(paste), DevicePaste()):
        out = [each.picture.copy() for each in shown]
        way.start(levels, shown, shares)(out)
        made.append(np.stack(out))
    return made[0], made[1]


def agree(shown: Sequence[Shown], host: NDArray[np.uint8], device: NDArray[np.uint8]) -> None:
    off = np.abs(host.astype(np.int16) - device)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.05
    changed = np.stack([each.picture for each in shown]) != host
    assert changed.sum(axis=(1, 2)).min() > 100, "something was drawn into each"
    for each, picture in zip(shown, device, strict=True):
        outer, weight = each.patch.outer, np.zeros((HEIGHT, WIDTH))
        weight[outer.top : outer.bottom, outer.left : outer.right] = each.patch.luma
        own, old = picture[:HEIGHT], each.picture[:HEIGHT]
        np.testing.assert_array_equal(own[weight == 0], old[weight == 0])


BOXES = [
    Box(31, 100, 57, 118),
    Box(0, 77, 0, 61),
    Box(101, HEIGHT, 243, WIDTH),
    Box(33, 103, 56, 118),
    Box(20, 160, 100, 260),
]
"""Odd edges, two corners of the frame, one of nearly the first one's size, a large one."""


@pytest.mark.parametrize("size", [96, 256])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_stretched_face_is_the_same_on_the_device(size: int, share: float) -> None:
    shown = []
    for number, box in enumerate(BOXES):
        picture, patch = idle(number), Patch.of(box)
        shown.append(Shown(picture, patch, laid(picture, patch, Stretch(box, size), CPU)))
    shares = [1.0, share, 1.0, share, share]
    agree(shown, *both_ways(shown, faces(len(BOXES), size, size), shares))


def test_beside_an_odd_box_the_faces_edge_goes_on() -> None:
    """Where a mask reaches that far: a whole pixel of the box's size, not of the face's."""
    box, picture = Box(31, 60, 57, 78), idle(0)
    odd = Patch.of(box)
    whole = Patch(box, odd.outer, np.ones_like(odd.luma), np.ones_like(odd.chroma))
    shown = [Shown(picture, whole, laid(picture, whole, Stretch(box, 96), CPU))]
    agree(shown, *both_ways(shown, faces(1, 96, 96), [1.0]))


@pytest.mark.parametrize("how", list(Resampling))
def test_a_warped_face_is_the_same_on_the_device(how: Resampling) -> None:
    shown, kind = [], How.LANCZOS if how is Resampling.LANCZOS else How.BILINEAR
    turned = [(1.6, 0.1, 40.0, 30.0), (2.3, -0.2, 40.0, 60.0), (1.6, 0.12, 60.0, 20.0)]
    box = Box(0, HEIGHT, 40, 240)
    for number, (scale, angle, right, down) in enumerate(turned):
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix = np.array([[cos, -sin, -scale * right], [sin, cos, -scale * down]])
        where = seat(matrix, box.width, box.height, how)
        picture, patch = idle(number), weighed(box, where)
        part = laid(picture, patch, Warp(box, where.inverse, kind), CPU)
        shown.append(Shown(picture, patch, part, where))
    drawn = faces(len(turned), FACE_HEIGHT, FACE_WIDTH)
    agree(shown, *both_ways(shown, drawn, [1.0, 0.5, 1.0]))


def test_only_what_a_face_may_change_is_kept_on_the_device() -> None:
    box = Box(20, 160, 100, 260)
    patch, picture = Patch.of(box), idle(0)
    part = laid(picture, patch, Stretch(box, 96), CPU)
    assert part.part.top > box.top + 0.4 * box.height, "the upper half has no weight"
    rows, columns = part.shape
    assert part.size_bytes == rows * columns * 3 // 2 * 5 + (rows + columns) * 2 * 4
    assert rows - part.part.height < 32
    assert columns - part.part.width < 32


def test_a_patch_without_any_weight_changes_nothing() -> None:
    whole, picture = Patch.of(BOXES[0]), idle(0)
    none = Patch(whole.box, whole.outer, whole.luma * 0, whole.chroma * 0)
    shown = [Shown(picture, none, laid(picture, none, Stretch(none.box, 96), CPU))]
    for made in both_ways(shown, faces(1, 96, 96), [1.0]):
        np.testing.assert_array_equal(made[0], picture)


def test_a_picture_that_nobody_wants_any_more_is_not_written() -> None:
    pictures = [idle(number) for number in range(2)]
    patch = Patch.of(BOXES[0])
    way = Stretch(patch.box, 96)
    shown = [Shown(each, patch, laid(each, patch, way, CPU)) for each in pictures]
    levels = torch.from_numpy(faces(2, 96, 96)).permute(0, 3, 1, 2).float()
    finish = DevicePaste().start(levels, shown, [1.0, 1.0])
    out = pictures[1].copy()
    finish([None, out])
    assert (out != pictures[1]).any()


def predicted() -> NDArray[np.float32]:
    coarse = recipe.uniform("w2limg/pred", (4, 96, 96, 3))[:, ::8, ::8]
    return coarse.repeat(8, axis=1).repeat(8, axis=2).transpose(0, 3, 1, 2)


def test_a_drawn_face_is_put_back_as_the_original_does() -> None:
    faces = wav2lip_levels(torch.from_numpy(predicted())).permute(0, 2, 3, 1)
    faces = faces.to(torch.uint8).numpy()
    for index, golden in enumerate(GOLDEN["paste_frames"]):
        pasted_as(golden, frames(2)[index], faces[index])


def test_wav2lips_levels_are_cut_off_as_its_authors_do() -> None:
    drawn = np.asarray(recipe.image("levels", 3, 96 * 96), np.float32).reshape(1, 3, 96, 96 * 3)
    drawn = drawn / np.float32(255.3)
    own = wav2lip_levels(torch.from_numpy(drawn)).numpy().transpose(0, 2, 3, 1)
    whole = (drawn.transpose(0, 2, 3, 1) * np.float32(255)).astype(np.uint8)
    np.testing.assert_array_equal(own.astype(np.uint8), whole)


@pytest.mark.parametrize(
    ("way", "conformance", "device", "on"),
    [
        ("auto", False, CPU, None),
        ("auto", False, CUDA, CUDA),
        ("device", False, CPU, CPU),
        ("host", False, CUDA, None),
        ("device", True, CUDA, None),
    ],
)
def test_auto_pastes_where_it_is_fastest_and_conformance_on_the_host(
    way: str, conformance: bool, device: torch.device, on: torch.device | None
) -> None:
    assert pastes_on(way, conformance, device) == on


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(OptionsRefused, match="paste has to be auto, device or host, not 'gpu'"):
        check_way("wav2lip", "gpu")
