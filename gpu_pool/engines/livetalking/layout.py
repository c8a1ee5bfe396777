"""What lies in a brought avatar's folder: which engine it was made for, its files in their order.

::

    full_imgs/00000000.png ...   the pictures; png, jpg or jpeg, in the order of their numbers
    coords.pkl                   a box each: y1 y2 x1 x2 (Wav2Lip), x1 y1 x2 y2 (MuseTalk)
    face_imgs/00000000.png ...   Wav2Lip: the boxes cut out; only looked at, they are cut again
    mask/, mask_coords.pkl       MuseTalk: how much of the drawn face is taken, and where
    latents.pt                   MuseTalk: not read; the engine encodes the pictures itself
    avator_info.json             MuseTalk: of which film; nothing in it is used

Only names are read here, and the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from gpu_pool.engines.face.refused import AvatarRefused
from gpu_pool.engines.livetalking.stranger import StrangersFolder

WAV2LIP, MUSETALK = "wav2lip", "musetalk"

PICTURES, FACES, MASKS = "full_imgs", "face_imgs", "mask"
BOXES, SQUARES, INFO = "coords.pkl", "mask_coords.pkl", "avator_info.json"

_PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg"}
_OF_MUSETALK = {MASKS, SQUARES, "latents.pt"}
_OF_OTHERS = {"ultralight.pth"}
"""Makes a folder that otherwise looks like Wav2Lip's; its boxes are in another order."""

_MOST_DIGITS = 12
_MOST_INFO_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Layout:
    """A brought avatar by its names.

    Attributes:
        engine: ``wav2lip`` or ``musetalk``.
        pictures: names below ``full_imgs``, in the order of their numbers.
        faces: names below ``face_imgs``, one a picture; empty where there are none.
        masks: names below ``mask``, one a picture; empty where there are none to be used.
        notes: what a person should know.
    """

    engine: str
    pictures: tuple[str, ...]
    faces: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognised(folder: StrangersFolder) -> Layout:
    """What a folder is.

    Raises:
        AvatarRefused: it is no avatar's, or its pictures do not fit together; says what is wrong.
    """
    names = set(folder.names())
    for needed in (PICTURES, BOXES):
        if needed not in names:
            raise AvatarRefused(
                f"{needed} is missing: the folder of one unpacked LiveTalking avatar is needed"
            )
    if other := sorted(names & _OF_OTHERS):
        raise AvatarRefused(f"{other[0]}: avatars of wav2lip and musetalk only are taken")
    pictures = _numbered(folder, PICTURES)
    if not pictures:
        raise AvatarRefused(f"{PICTURES}: there is no picture in it")
    notes = _gap_notes(list(pictures))
    of_musetalk = sorted(names & _OF_MUSETALK)
    if FACES not in names:
        if of_musetalk or INFO in names:
            return _musetalk(folder, names, pictures, notes)
        raise AvatarRefused(f"neither {FACES} nor {MASKS}: its engine cannot be told")
    if of_musetalk:
        raise AvatarRefused(f"{FACES} and {of_musetalk[0]}: it is of two engines at once")
    faces = _alike(folder, FACES, pictures)
    return Layout(WAV2LIP, tuple(pictures.values()), faces, notes=notes)


def _musetalk(
    folder: StrangersFolder, names: set[str], pictures: Mapping[int, str], notes: tuple[str, ...]
) -> Layout:
    masks: tuple[str, ...] = ()
    if {MASKS, SQUARES} <= names:
        masks = _alike(folder, MASKS, pictures)
    else:
        lacking = MASKS if MASKS not in names else SQUARES
        notes += (f"{lacking} is missing: the station's own masks are used",)
    if INFO in names:
        _check_info(folder)
    return Layout(MUSETALK, tuple(pictures.values()), (), masks, notes)


def _check_info(folder: StrangersFolder) -> None:
    """Nothing in it is needed; a broken one means a broken folder."""
    try:
        told = json.loads(folder.read(INFO, _MOST_INFO_BYTES))
    except (ValueError, RecursionError) as error:
        raise AvatarRefused(f"{INFO}: it is no JSON") from error
    if not isinstance(told, dict):
        raise AvatarRefused(f"{INFO}: it is no JSON object")


def _alike(folder: StrangersFolder, name: str, pictures: Mapping[int, str]) -> tuple[str, ...]:
    """The pictures of another folder; their numbers are the same."""
    found = _numbered(folder, name)
    if odd := sorted(found.keys() ^ pictures.keys()):
        here, there = (name, PICTURES) if odd[0] in found else (PICTURES, name)
        raise AvatarRefused(
            f"{name}: {len(found)} pictures, and {len(pictures)} in {PICTURES}:"
            f" number {odd[0]} is in {here}, but not in {there}"
        )
    return tuple(found.values())


def _numbered(folder: StrangersFolder, name: str) -> dict[int, str]:
    """Number -> file of the pictures in a folder, rising; files of other kinds are let lie."""
    found: dict[int, str] = {}
    for each in folder.names(name):
        path = PurePath(each)
        if each.startswith(".") or path.suffix.lower() not in _PICTURE_SUFFIXES:
            continue
        if not (path.stem.isascii() and path.stem.isdigit() and len(path.stem) <= _MOST_DIGITS):
            raise AvatarRefused(f"{name}/{plain(each)}: pictures are called by their number")
        number = int(path.stem)
        if number in found:
            raise AvatarRefused(f"{name}: {found[number]} and {each} have the same number")
        found[number] = each
    return dict(sorted(found.items()))


def plain(name: str) -> str:
    """A stranger's file name, fit to be printed."""
    return "".join(c if c.isprintable() else "?" for c in name)[:100]


def _gap_notes(numbers: Sequence[int]) -> tuple[str, ...]:
    lacking = numbers[-1] - numbers[0] + 1 - len(numbers)
    if not lacking:
        return ()
    return (f"{lacking} numbers of {PICTURES} are missing: the others follow each other",)
