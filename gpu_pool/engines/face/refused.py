"""Why a picture, a clip or a stored avatar is not taken: the pool's own refusal."""

from __future__ import annotations

from gpu_pool.contracts import AvatarRefused

__all__ = ["AvatarRefused"]
