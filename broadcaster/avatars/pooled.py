"""An avatar in a channel's format, as the pool of workers knows it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from broadcaster.avatars.carried import label
from broadcaster.avatars.found import BUNDLED_VERSION, FoundAvatar
from gpu_pool.contracts import AvatarRef, EngineSpec, PictureFormat

PREPARED = "prepared"
"""Folder beside an avatar's files: what its engine worked out of them, to be lost at any time."""

EngineOptions = Mapping[str, Mapping[str, bool | int | float | str]]
"""Engine -> what its maker takes, as the settings say."""


def avatar_ref(avatar: FoundAvatar, picture: PictureFormat) -> AvatarRef:
    """An avatar in a channel's format, as the pool knows it."""
    name = f"{label(avatar)}-{picture.width}x{picture.height}-{picture.fps}"
    is_bundled = avatar.version == BUNDLED_VERSION
    prepared = "" if is_bundled else str(avatar.source.with_name(PREPARED))
    engine = EngineSpec(avatar.engine)
    return AvatarRef(name, str(avatar.source), picture, engine=engine, prepared=prepared)


def with_options(avatar: AvatarRef, engines: EngineOptions) -> AvatarRef:
    """The same avatar, its engine with the options that the settings give it."""
    options = engines.get(avatar.engine.name, {})
    return replace(avatar, engine=replace(avatar.engine, options=options)) if options else avatar
