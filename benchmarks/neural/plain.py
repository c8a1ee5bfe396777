"""The plain ports at work: in this process for their networks, in one of their own for a task.

As the authors' scripts go: eager float32, frames in memory, whisper or the mel over the whole sound
at once, batch by batch, every face pasted into a copy of its whole frame, BGR. What these scripts
prepare before the sound is prepared here before the time is taken: boxes, MuseTalk's latents and
masks, LatentSync's aligned faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.neural.cases import FORMAT, Job
from gpu_pool.engines.latentsync.boxes import matrices_in
from gpu_pool.engines.latentsync.mask import kept
from gpu_pool.engines.latentsync.sampler import noise
from gpu_pool.engines.musetalk import boxes as musetalk_boxes
from gpu_pool.engines.photo.looped import LoopedPictures
from gpu_pool.engines.wav2lip import boxes as wav2lip_boxes
from gpu_pool.engines.wav2lip.mel import COLUMNS, column_of, whole_mel
from gpu_pool.windows import batch_spans
from tests.doubles.plain_diffusion import PlainUNet, PlainVae
from tests.doubles.plain_latentsync import PlainLatentSync, aligned, put_back
from tests.doubles.plain_musetalk import Material, PlainMuseTalk, blended, to_frames
from tests.doubles.plain_wav2lip import PlainWav2Lip, plain_inputs, plain_paste
from tests.doubles.plain_whisper import PlainWhisper

Bgr = NDArray[np.uint8]
N = TypeVar("N", bound=nn.Module)

EXPAND, BLUR = 1.5, 0.1
"""MuseTalk's square about the face's box, and how soft its mask's edge is."""


class Port(Protocol):
    """One of them."""

    def prepare(self) -> None:
        """What is done once per avatar."""
        ...

    def batches(self) -> Iterator[list[Bgr]]:
        """The frames of the job's pictures, batch by batch."""
        ...


def filled(network: N, file: Path, device: str, inside: str = "") -> N:
    """With the weights of a file; of those under a name only, where one is given."""
    tensors = torch.load(file, map_location="cpu", weights_only=True)
    own = {
        key.removeprefix(inside): each for key, each in tensors.items() if key.startswith(inside)
    }
    network.load_state_dict(own, strict=True)
    return network.eval().requires_grad_(False).to(device)


class Loop:
    """The avatar's frames, as many as the job shows, BGR; a loop goes there and back."""

    def __init__(self, job: Job) -> None:
        self.looped = LoopedPictures(job.clip, FORMAT)
        self.places = [self.looped.place(job.tick(n)) for n in range(job.first, job.end)]
        frames = {
            place: np.asarray(
                cv2.cvtColor(self.looped.picture(place), cv2.COLOR_YUV2BGR_I420), np.uint8
            )
            for place in set(self.places)
        }
        self.frames = [frames[place] for place in self.places]
        self.numbers = [self.looped.number(place) for place in self.places]


class Wav2LipPort:
    def __init__(self, job: Job) -> None:
        self._job, self.size = job, int(job.name.removeprefix("wav2lip"))
        self.network = filled(PlainWav2Lip(self.size), job.file("weights"), job.device)

    def prepare(self) -> None:
        self._loop = loop = Loop(self._job)
        boxes = wav2lip_boxes.boxes_in(loop.looped)
        found = (boxes[number] for number in loop.numbers)
        self._boxes = [(box.top, box.bottom, box.left, box.right) for box in found]

    def batches(self) -> Iterator[list[Bgr]]:
        job, frames, boxes = self._job, self._loop.frames, self._boxes
        mel = whole_mel(job.sound)
        for start, count in batch_spans(job.pictures, job.batch):
            part = slice(start, start + count)
            columns = [column_of(job.first + n, FORMAT.fps) for n in range(start, start + count)]
            heard = np.stack([mel[None, :, at : at + COLUMNS] for at in columns])
            faces = plain_inputs(frames[part], boxes[part], self.size)
            given = (torch.FloatTensor(each).to(job.device) for each in (heard, faces))
            drawn = self.network(*given).cpu().numpy().transpose(0, 2, 3, 1) * 255.0
            places = zip(frames[part], boxes[part], drawn, strict=True)
            yield [plain_paste(frame, box, face) for frame, box, face in places]


class MuseTalkPort:
    def __init__(self, job: Job) -> None:
        self._job = job
        self.networks = PlainMuseTalk(
            filled(PlainUNet(8, video=False), job.file("unet"), job.device),
            filled(PlainVae(), job.file("vae"), job.device),
            filled(PlainWhisper(), job.file("whisper"), job.device, "encoder."),
        )

    def prepare(self) -> None:
        loop, made = Loop(self._job), dict[int, Material]()
        boxes = musetalk_boxes.boxes_in(loop.looped)
        for place, number, frame in zip(loop.places, loop.numbers, loop.frames, strict=True):
            if place not in made:
                box = boxes[number]
                corners = box.left, box.top, box.right, box.bottom
                around = square(corners)
                latents = self.networks.latents_of(frame, corners)
                made[place] = Material(frame, corners, around, soft(corners, around), latents)
        self._shown = [made[place] for place in loop.places]

    def batches(self) -> Iterator[list[Bgr]]:
        job = self._job
        heard = self.networks.hear(job.sound, job.end, FORMAT.fps)[job.first :]
        for start, count in batch_spans(job.pictures, job.batch):
            shown = self._shown[start : start + count]
            latents = [each.latents for each in shown]
            faces = to_frames(self.networks.draw(latents, heard[start : start + count]))
            yield [blended(each, face) for each, face in zip(shown, faces, strict=True)]


def square(corners: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = corners
    half = int(max(right - left, bottom - top) // 2 * EXPAND)
    across, down = (left + right) // 2, (top + bottom) // 2
    return across - half, down - half, across + half, down + half


def soft(
    corners: tuple[int, int, int, int], around: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """The lower half of the face's box with a soft edge: as large as what a parser would find."""
    side = around[2] - around[0]
    mask = np.zeros((around[3] - around[1], side), np.uint8)
    left, right = corners[0] - around[0], corners[2] - around[0]
    mask[len(mask) // 2 : corners[3] - around[1], left:right] = 255
    width = int(BLUR * side // 2 * 2) + 1
    return np.asarray(cv2.GaussianBlur(mask, (width, width), 0), np.uint8)


class LatentSyncPort:
    def __init__(self, job: Job) -> None:
        self._job = job
        self.networks = PlainLatentSync(
            filled(PlainUNet(13, video=True), job.file("unet"), job.device),
            filled(PlainVae(), job.file("vae"), job.device),
            filled(PlainWhisper(), job.file("whisper"), job.device, "encoder."),
            torch.from_numpy(kept().copy()).to(job.device),
            noise(job.device),
        )

    def prepare(self) -> None:
        loop = Loop(self._job)
        matrices = matrices_in(loop.looped)
        self._matrices = [matrices[number] for number in loop.numbers]
        self._frames = [np.ascontiguousarray(frame[..., ::-1]) for frame in loop.frames]
        laid = zip(self._frames, self._matrices, strict=True)
        self._faces = np.stack([aligned(*each) for each in laid])

    def batches(self) -> Iterator[list[Bgr]]:
        job = self._job
        heard = self.networks.hear(job.sound, job.end, FORMAT.fps)[job.first :]
        for start, count in batch_spans(job.pictures, job.batch):
            part = slice(start, start + count)
            faces = self.networks.draw(self._faces[part], heard[part], job.steps)
            laid = zip(self._frames[part], faces, self._matrices[part], strict=True)
            yield [np.ascontiguousarray(put_back(*each)[..., ::-1]) for each in laid]


PORTS: dict[str, Any] = {
    "wav2lip": Wav2LipPort,
    "musetalk": MuseTalkPort,
    "latentsync": LatentSyncPort,
}


def serve(line: Connection, job: Job) -> None:
    """The main of a process: a message in, the job's frames out, one by one, pickled."""
    cv2.setNumThreads(1)
    with torch.inference_mode():
        port: Port = PORTS[job.engine](job)
        port.prepare()
        torch.set_num_threads(job.threads)
        line.send("ready")
        while pictures := line.recv():
            sent = 0
            for frames in port.batches():
                for frame in frames:
                    line.send(frame)
                sent += len(frames)
                if sent >= pictures:
                    break
