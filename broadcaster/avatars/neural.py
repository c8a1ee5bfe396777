"""The neural engines: whether this station could draw with one, and why not.

Beside the signal path; for checks and for whoever asks for an avatar. It reads the heads of the
operator's own files of weights, and imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from broadcaster.settings.model import SettingsModel

_VAE = ("sd_vae_file", "sd_vae_diffusers")
_WHISPER = ("whisper_tiny_openai", "whisper_tiny_hf")

NEURAL: Mapping[str, Mapping[str, Sequence[str]]] = {
    "wav2lip": {"weights": ("wav2lip96", "wav2lip256")},
    "musetalk": {"unet": ("musetalk_unet",), "vae": _VAE, "whisper": _WHISPER},
    "latentsync": {"unet": ("latentsync10_unet",), "vae": _VAE, "whisper": _WHISPER},
}
"""Engines that need torch and files of weights -> option -> the variants that will do."""


def set_up(settings: SettingsModel) -> list[str]:
    """Engines for which the settings name every file that they need."""
    return [engine for engine in NEURAL if not _unnamed(engine, settings)]


def engine_fault(engine: str, settings: SettingsModel) -> tuple[str, str]:
    """Why an engine cannot draw here, and what helps; empty where it can."""
    from gpu_pool.engines.checkpoint import (  # noqa: PLC0415 (slow)
        CheckpointRefused,
        identify,
        open_checkpoint,
    )

    if engine not in NEURAL:
        return "", ""
    if lacking := _unnamed(engine, settings):
        where = f"pool.engines.{engine}.{lacking}"
        return f"it has no {lacking}", f"Name the file of its {lacking} in {where}."
    if find_spec("torch") is None:
        return "torch is not installed", "requirements/setup.sh gpu"
    options = settings.pool.engines[engine]
    for option, variants in NEURAL[engine].items():
        try:
            identify(open_checkpoint(Path(str(options[option]))), variants)
        except CheckpointRefused as error:
            return f"{option}: {error.reason}", f"Correct pool.engines.{engine}.{option}."
    return "", ""


def _unnamed(engine: str, settings: SettingsModel) -> str:
    """The first option that should name a file and does not."""
    options = settings.pool.engines.get(engine, {})
    return next((option for option in NEURAL[engine] if not options.get(option)), "")
