"""Which networks there are, by the names and shapes of their weights, and whether a file is one.

Between a checkpoint and the network that is to use it. Must never take a file for what it is not: a
missing, foreign or mis-shaped tensor is an error that names file and key. The layouts lie beside
this module as data (name -> shape), so that a file can be judged where torch is not installed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gpu_pool.engines.checkpoint.checkpoint import COUNTER, Checkpoint
from gpu_pool.engines.checkpoint.refusal import CheckpointRefused
from gpu_pool.engines.checkpoint.stored import FLOATS

Layout = Mapping[str, tuple[int, ...]]
"""Name of a tensor -> its shape; counters left out."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One network in one naming.

    Attributes:
        name: also of its layout's file.
        title: for the operator.
        optional: tensors that some files hold besides, of no use here.
    """

    name: str
    title: str
    optional: frozenset[str] = frozenset()


VARIANTS: Mapping[str, Variant] = {
    each.name: each
    for each in (
        Variant("wav2lip96", "Wav2Lip, 96 pixels"),
        Variant("wav2lip256", "Wav2Lip, 256 pixels"),
        Variant("musetalk_unet", "MuseTalk UNet, 1.0 or 1.5"),
        Variant("latentsync10_unet", "LatentSync 1.0 UNet"),
        Variant("sd_vae_file", "SD-VAE, as published"),
        Variant("sd_vae_diffusers", "SD-VAE, newer names"),
        Variant("whisper_tiny_openai", "Whisper tiny, OpenAI's names"),
        Variant("whisper_tiny_hf", "Whisper tiny, HF names", frozenset({"proj_out.weight"})),
        Variant("s3fd", "S3FD face detector"),
        Variant("bisenet", "BiSeNet face parser"),
    )
}


@cache
def layout(name: str) -> Layout:
    """The tensors of a variant."""
    file = resources.files("gpu_pool.engines.checkpoint") / "layouts" / f"{name}.json.gz"
    found: dict[str, list[int]] = json.loads(gzip.decompress(file.read_bytes()))
    return {key: tuple(shape) for key, shape in found.items()}


def identify(checkpoint: Checkpoint, wanted: Iterable[str] = VARIANTS) -> Variant:
    """Which of the wanted variants a file is, to the last tensor.

    Raises:
        CheckpointRefused: none of them; the text says which it is instead, or what is wrong.
    """
    names = list(wanted)
    for name in (*names, *(name for name in VARIANTS if name not in names)):
        if not _wrong(checkpoint, VARIANTS[name]):
            if name in names:
                return VARIANTS[name]
            other = ", ".join(VARIANTS[each].title for each in names)
            raise CheckpointRefused(checkpoint.path, f"this is {VARIANTS[name].title}, not {other}")
    nearest = max(names, key=lambda name: _likeness(checkpoint, name))
    if _likeness(checkpoint, nearest) == 0:
        raise CheckpointRefused(checkpoint.path, "weights of a network that is not known here")
    wrong = _wrong(checkpoint, VARIANTS[nearest])
    raise CheckpointRefused(checkpoint.path, f"not quite {VARIANTS[nearest].title}: {wrong}")


def _likeness(checkpoint: Checkpoint, name: str) -> float:
    """How much of a layout a file has, less what it has besides."""
    shapes = layout(name)
    known = sum(key in shapes for key in checkpoint.tensors)
    return known / (len(shapes) + len(checkpoint.tensors) - known)


def _wrong(checkpoint: Checkpoint, variant: Variant) -> str:
    """What tells a file from a variant, or an empty text."""
    shapes, tensors = layout(variant.name), checkpoint.tensors
    missing = [key for key in shapes if key not in tensors]
    foreign = [
        key
        for key in tensors
        if key not in shapes and not key.endswith(COUNTER) and key not in variant.optional
    ]
    for what, keys in (("missing", missing), ("unknown", foreign)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            return f"{what} tensor {keys[0]}{more}"
    for key, shape in shapes.items():
        if tensors[key].shape != shape:
            return f"{key} has shape {list(tensors[key].shape)}, not {list(shape)}"
        if tensors[key].dtype not in FLOATS:
            return f"{key} is {tensors[key].dtype}, no floating point"
    return ""
