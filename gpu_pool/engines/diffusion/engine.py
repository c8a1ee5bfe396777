"""What the engines of MuseTalk and LatentSync have in common: networks and avatars, and their life.

Inside a worker; knows nothing of either network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import cv2
import torch
from torch import Tensor

from gpu_pool.contracts import AvatarRef
from gpu_pool.engines.diffusion.unet import UNet
from gpu_pool.engines.diffusion.vae import Vae
from gpu_pool.engines.prepared import Keeping
from gpu_pool.engines.together import O
from gpu_pool.engines.together_engine import S, TogetherEngine, Wishes


class Common(Wishes, Protocol):
    """Options that both engines have."""

    @property
    def threads(self) -> int:
        """One or more."""
        ...

    @property
    def disk_mb(self) -> int:
        """Of what may be kept beside an avatar; 0 for nothing."""
        ...


class Painting(Protocol):
    """Networks that both engines have."""

    @property
    def unet(self) -> UNet:
        """Paints latents."""
        ...

    @property
    def vae(self) -> Vae:
        """Between latents and pictures."""
        ...


C = TypeVar("C", bound=Common)
N = TypeVar("N", bound=Painting)
A = TypeVar("A")


class DiffusionEngine(TogetherEngine[Tensor, O, S], Generic[C, N, A, O, S]):
    """Loading, decoding and forgetting.

    Args:
        options: checked.
        networks: how they are come by, for a device.
    """

    def __init__(self, options: C, networks: Callable[[C, str], N]) -> None:
        self._options, self._load_networks = options, networks
        self._networks: N | None = None
        self._avatars: dict[str, A] = {}

    def load(self, device: str) -> None:
        """Load the weights.

        Raises:
            CheckpointRefused: a file is not what it should be.
        """
        cv2.setNumThreads(1)
        torch.set_num_threads(self._options.threads)
        self._networks = loaded = self._load_networks(self._options, device)
        replayed = loaded.unet.replayed, loaded.vae.replayed
        self._settle(self._options, torch.device(device), replayed)

    def forget(self, avatar: str) -> None:
        """Let go of a prepared avatar."""
        self._avatars.pop(avatar, None)

    def _keeping(self, avatar: AvatarRef, weights: str) -> Keeping:
        return Keeping(avatar.prepared, weights, self._options.disk_mb << 20)

    @staticmethod
    def _decoded(vae: Vae, latents: Tensor, abandoned: Callable[[], bool]) -> Tensor | None:
        """Pictures (n, 3, 256, 256) of latents (n, 4, 32, 32); None once nobody wants them."""
        made = []
        for part in vae.portions(latents.to(vae.quant_conv.weight.dtype)):
            if abandoned():
                return None
            made.append(vae.pictures(part))
        return torch.cat(made)

    def _loaded(self) -> N:
        assert self._networks is not None, "load comes first"
        return self._networks
