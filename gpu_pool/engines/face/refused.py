"""Why a picture, a clip or a stored avatar is not taken."""

from __future__ import annotations

from gpu_pool.contracts import PoolError


class AvatarRefused(PoolError):
    """This cannot be an avatar; the text says why in words fit for whoever sent it."""
