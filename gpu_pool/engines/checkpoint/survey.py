"""What of the neural engines' weights lies in a folder, and what is missing for which engine.

Behind ``broadcaster models check``; beside the signal path. A file is known by what is in it, never
by its name. Must never fetch anything: who may use which weights is the user's decision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_pool.engines.checkpoint.checkpoint import open_checkpoint
from gpu_pool.engines.checkpoint.refusal import CheckpointRefused
from gpu_pool.engines.checkpoint.variants import Variant, identify

SUFFIXES = frozenset({".pth", ".pt", ".bin", ".safetensors"})

_DEEPEST = 4
_MOST_FILES = 1000
"""Somebody may name their home folder."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file that an engine wants.

    Attributes:
        title: for the operator.
        variants: any of which will do.
        names: what its authors call the file.
        published: where its authors give it out.
        licence: under which terms, as far as they say.
        optional: the engine runs without it.
    """

    title: str
    variants: tuple[str, ...]
    names: tuple[str, ...]
    published: str
    licence: str
    optional: bool = False


_VAE = Part(
    "SD-VAE",
    ("sd_vae_file", "sd_vae_diffusers"),
    ("sd-vae/diffusion_pytorch_model.bin", "sd-vae/diffusion_pytorch_model.safetensors"),
    "model stabilityai/sd-vae-ft-mse on Hugging Face",
    "MIT",
)
_WHISPER = Part(
    "Whisper tiny",
    ("whisper_tiny_openai", "whisper_tiny_hf"),
    ("whisper/tiny.pt", "whisper/pytorch_model.bin", "whisper/model.safetensors"),
    "repository openai/whisper on GitHub, or model openai/whisper-tiny on Hugging Face",
    "MIT",
)
_DETECTOR = Part(
    "S3FD face detector",
    ("s3fd",),
    ("s3fd-619a316812.pth", "s3fd.pth"),
    "repository 1adrianb/face-alignment on GitHub",
    "BSD-3-Clause for the code around it; nothing is said of the weights",
    optional=True,
)

PARTS: Mapping[str, Sequence[Part]] = {
    "wav2lip": (
        Part(
            "Wav2Lip network",
            ("wav2lip96", "wav2lip256"),
            ("wav2lip.pth", "wav2lip_gan.pth", "wav2lip256.pth"),
            "repository Rudrabha/Wav2Lip on GitHub (96 pixels), lipku/LiveTalking (256 pixels)",
            "research and personal use only, no commercial use (trained on LRS2)",
        ),
        _DETECTOR,
    ),
    "musetalk": (
        Part(
            "MuseTalk UNet",
            ("musetalk_unet",),
            ("musetalkV15/unet.pth", "musetalk/pytorch_model.bin"),
            "model TMElyralab/MuseTalk on Hugging Face",
            "any purpose, also commercial",
        ),
        _VAE,
        _WHISPER,
        Part(
            "BiSeNet face parser",
            ("bisenet",),
            ("face-parse-bisent/79999_iter.pth",),
            "repository zllrunning/face-parsing.PyTorch on GitHub",
            "MIT for the code; trained on CelebAMask-HQ, a non-commercial data set",
            optional=True,
        ),
        _DETECTOR,
    ),
    "latentsync": (
        Part(
            "LatentSync 1.0 UNet",
            ("latentsync10_unet",),
            ("latentsync_unet.pt",),
            "model ByteDance/LatentSync on Hugging Face (the files of release 1.0)",
            "openrail++ by its model card; check it",
        ),
        _VAE,
        _WHISPER,
    ),
}
"""Engine -> what it wants."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of known weights."""

    path: Path
    variant: Variant
    form: str
    precision: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that looks like weights and is not to be used; ``reason`` is for the operator."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """All that was seen in a folder."""

    folder: Path
    found: tuple[Found, ...]
    refused: tuple[Refused, ...]

    def for_part(self, part: Part) -> tuple[Found, ...]:
        """Files that will do for a part; any of them."""
        return tuple(each for each in self.found if each.variant.name in part.variants)

    def missing(self, engine: str) -> tuple[Part, ...]:
        """Without these an engine cannot run."""
        return tuple(
            part for part in PARTS[engine] if not part.optional and not self.for_part(part)
        )


def survey(folder: Path) -> Survey:
    """Look at every file of a folder and those below that may be weights.

    Raises:
        OSError: the folder cannot be read.
    """
    found: list[Found] = []
    refused: list[Refused] = []
    for path in _candidates(folder):
        try:
            found.append(_look_at(path))
        except CheckpointRefused as error:
            refused.append(Refused(path, error.reason))
    return Survey(folder, tuple(found), tuple(refused))


def _look_at(path: Path) -> Found:
    opened = open_checkpoint(path)
    variant = identify(opened)
    kinds = sorted({tensor.dtype for tensor in opened.tensors.values() if "float" in tensor.dtype})
    return Found(path, variant, opened.form, ", ".join(kinds), opened.size_bytes, opened.sha256())


def _candidates(folder: Path) -> Iterator[Path]:
    """Regular files by their suffix, in order; links to folders are not followed."""
    pending, seen = [(folder, 0)], 0
    while pending:
        place, depth = pending.pop(0)
        for path in sorted(place.iterdir()):
            if path.is_dir() and not path.is_symlink() and depth < _DEEPEST:
                pending.append((path, depth + 1))
            elif path.suffix.lower() in SUFFIXES and path.is_file() and seen < _MOST_FILES:
                seen += 1
                yield path
