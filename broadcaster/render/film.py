"""A film from its order: speech, workers, mixer and file put together.

The composition of the render. Whatever goes wrong, no file, child or shared memory is left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from broadcaster.codec.mp4 import Mp4Writer
from broadcaster.errors import RenderError
from broadcaster.mixer.mixer import Mixer
from broadcaster.playout.spoken import SpokenSource
from broadcaster.render.cast import Cast, find_cast, open_pool
from broadcaster.render.order import RenderOrder
from broadcaster.render.place import draft_of, scratch_folder
from broadcaster.render.programme import Programme
from broadcaster.render.supply import PictureSupply
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.decoder import decode_settings
from broadcaster.speech.sound_files import SoundFiles
from broadcaster.speech.speaking import Speaker
from broadcaster.studio.performance import Part
from broadcaster.studio.preparation import Preparation, prepare
from gpu_pool.pool import Pool
from gpu_pool.ring import Ring

TASK_ID = "film"

Undisturbed = Callable[[], AbstractContextManager[None]]
"""A context in which no signal breaks in."""


class Witness(Protocol):
    """Is told how far the film is."""

    def step(self, what: str) -> None:
        """Something begins that is not counted in pictures."""
        ...

    def written(self, pictures: int, total: int) -> None:
        """So many pictures of ``total`` are in the file."""
        ...


@dataclass(frozen=True, slots=True)
class Film:
    """What was made: pictures of the whole, the first one of the task, the gain of its sound."""

    pictures: int
    start: int
    gain_db: float


@dataclass(frozen=True, slots=True)
class _Sound:
    """The prepared speech in a folder of its own."""

    files: SoundFiles
    mouths: Path
    samples: int
    gain_db: float


def render(
    order: RenderOrder,
    settings: SettingsModel,
    witness: Witness,
    undisturbed: Undisturbed = contextlib.nullcontext,
) -> Film:
    """Make the film.

    Raises:
        RenderError: the sound cannot be prepared, the pictures rendered, or the file written.
        EncodeError: an encoder failed, or the disk is full.
    """
    cast = find_cast(order, settings)
    with contextlib.ExitStack() as stack:
        draft = stack.enter_context(draft_of(order.out, order.force))
        folder = stack.enter_context(scratch_folder())
        with undisturbed():
            opened = open_pool(cast.avatar, settings.pool)
            pool, ring = stack.enter_context(opened)
        witness.step("preparing the sound")
        sound = _prepare(order, settings, folder)  # while the workers load their models
        witness.step("waiting for the workers")
        writer = Mp4Writer(draft, order.fmt)
        stack.callback(writer.abandon)
        film = _shoot(order, cast, sound, (pool, ring), writer, witness)
        writer.finish()
    return film


def _prepare(order: RenderOrder, settings: SettingsModel, folder: Path) -> _Sound:
    """Speak or decode as the studio does."""
    files = SoundFiles(folder / "sound.s16", folder / "sound_16k.f32")
    mouths = folder / "mouths.npy"
    work = Preparation(
        order.channel.name,
        TASK_ID,
        folder / "none" if order.audio is None else order.audio.absolute(),
        files,
        folder / "phonemes.json",
        order.fmt.audio.sample_rate,
        order.text,
        order.voice,
        mouths=mouths,
        fps=order.fmt.video.fps,
    )
    with contextlib.closing(Speaker()) as speaker:
        prepared = prepare(work, decode_settings(settings), speaker)
    if prepared.error:
        where = f" ({folder})" if prepared.full else ""
        raise RenderError(f"{prepared.error}{where}")
    return _Sound(files, mouths, prepared.samples, prepared.gain_db)


def _shoot(
    order: RenderOrder,
    cast: Cast,
    sound: _Sound,
    workers: tuple[Pool, Ring],
    writer: Mp4Writer,
    witness: Witness,
) -> Film:
    fmt, first = order.fmt, order.first_tick
    start = first + order.before_ticks
    spoken = -(-sound.samples // fmt.samples_per_tick)
    pictures = spoken + order.fade_ticks
    part = Part(
        order.channel.name, TASK_ID, cast.avatar.name, fmt.video.fps,
        index=0, tick=start, pictures=pictures, spoken=spoken, origin=0,
    )  # fmt: skip
    heard = np.memmap(sound.files.sound_16k, np.float32, "r")
    told = np.load(sound.mouths) if sound.mouths.exists() else None
    supply = PictureSupply(*workers, part, heard, told, fmt.video)
    source = SpokenSource(TASK_ID, sound.files.sound, sound.samples, 0, fmt, supply.pictures)
    mixer = Mixer(order.fade_ticks, fmt.samples_per_tick)
    programme = Programme(
        source, supply.pictures, supply.bring_forward, cast.idle, mixer, fmt.samples_per_tick
    )
    total = order.before_ticks + pictures + order.after_ticks
    with contextlib.closing(source):
        for count, tick in enumerate(
            programme.ticks(first, start, pictures, first + total), start=1
        ):
            writer.write(tick.picture, tick.sound)
            witness.written(count, total)
    return Film(total, order.before_ticks, sound.gain_db)
