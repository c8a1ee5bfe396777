"""What to render, checked as far as it can be before anything begins.

From the command line and the station's settings to values. What cannot be meant is refused in the
words of the settings and of the API.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import idle_media
from broadcaster.avatars.shelf import Shelf, find
from broadcaster.errors import AvatarNotFound, ConfigError, MediaError
from broadcaster.formats import EncodeFormat
from broadcaster.settings.load import revised
from broadcaster.settings.model import Channel, SettingsModel
from broadcaster.settings.platforms import load_platforms, plan_encode
from broadcaster.speech.decoder import decode_settings
from broadcaster.speech.probe import probe_upload
from broadcaster.speech.speaking import check_voice, fitting_voice
from broadcaster.speech.text import read_text
from gpu_pool.contracts import EngineSpec
from gpu_pool.engines.registry import ENGINES

LONGEST_ROLL_S = 60.0
"""More idle than that around a speech is a slip of the finger."""

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line; None leaves it to the station's settings."""

    out: Path
    audio: Path | None = None
    text: str | None = None
    voice: str | None = None
    avatar: str | None = None
    engine: str | None = None
    size: str | None = None
    fps: int | None = None
    rate: int | None = None
    before_s: float | None = None
    after_s: float | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class RenderOrder:
    """One film.

    Attributes:
        channel: the one that the film is like: its avatar is named, its values are the film's.
        fmt: of the film.
        engine: what the workers run; None leaves it to the avatar.
        audio: the sound file; None where ``text`` is spoken by ``voice``.
        text: what is spoken.
        voice: who speaks it.
        fade_ticks: length of both cross-fades.
        before_ticks: idle pictures before the sound begins.
        after_ticks: idle pictures after the fade out.
        out: where the film goes.
        force: whether a file that is there is replaced.
        first_tick: the moment of the idle loop at which the film begins.
    """

    channel: Channel
    fmt: EncodeFormat
    engine: EngineSpec | None
    audio: Path | None
    text: str
    voice: str
    fade_ticks: int
    before_ticks: int
    after_ticks: int
    out: Path
    force: bool
    first_tick: int = 0


def read_order(asked: Asked, settings: SettingsModel) -> RenderOrder:
    """The order for what was asked.

    Raises:
        ConfigError: a name, size or place that cannot be used.
        MediaError, SpeechError: sound that cannot be decoded, text that cannot be spoken.
    """
    channel = _channel(asked, settings.channels[0])
    _check_avatar(channel.avatar, settings.station.state_dir)
    fmt = plan_encode(channel, load_platforms()).format
    fade_ticks = round(settings.playout.fade_ms * fmt.video.fps / 1000)
    check_place(asked.out, asked.force)
    engine = _engine(asked.engine) if asked.engine else None
    voice = fitting_voice(asked.voice or "", settings.speech.voice, channel.avatar)
    check_voice(voice)
    if asked.text is not None:
        read_text(asked.text, "en")
    if asked.audio is not None:
        _probe(asked.audio, settings)
    return RenderOrder(
        channel=channel,
        fmt=fmt,
        engine=engine,
        audio=asked.audio,
        text=asked.text or "",
        voice=voice,
        fade_ticks=fade_ticks,
        before_ticks=_roll("pre-roll", asked.before_s, fmt.video.fps, fade_ticks),
        after_ticks=_roll("post-roll", asked.after_s, fmt.video.fps, fade_ticks),
        out=asked.out,
        force=asked.force,
    )


def check_place(out: Path, force: bool) -> None:
    """Whether a film may be put there.

    Raises:
        ConfigError: it may not.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"{out}: the film is an MP4 file, so its name ends in .mp4")
    if not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no folder {out.parent}")
    if out.is_dir() or (out.exists() and not out.is_file()):
        raise ConfigError(f"{out}: is there already, and no file")
    if out.exists() and not force:
        raise ConfigError(f"{out}: is there already; --force replaces it")


def _channel(asked: Asked, channel: Channel) -> Channel:
    """The station's first channel, with what was asked; no destination can narrow the format."""
    video: dict[str, int] = {} if asked.fps is None else {"fps": asked.fps}
    video |= _size(asked.size)
    audio = {} if asked.rate is None else {"sample_rate": asked.rate}
    changes: Mapping[str, object] = {"video": video, "audio": audio, "destinations": ()}
    wished = revised(channel, {**changes, "avatar": asked.avatar or channel.avatar})
    if wished.avatar == "none":
        known = ", ".join(idle_media.presenters())
        raise ConfigError(f"a film needs an avatar: one of {known}")
    return revised(wished, {"avatar": wished.presenter or idle_media.DEFAULT})


def _check_avatar(name: str, state_dir: Path) -> None:
    try:
        find(name, state_dir)
    except AvatarNotFound as error:
        known = ", ".join([*idle_media.presenters(), *Shelf(state_dir / "avatars").names()])
        raise ConfigError(f"{error}; there are {known}") from error


def _size(size: str | None) -> dict[str, int]:
    if size is None:
        return {}
    found = _SIZE.fullmatch(size)
    if found is None:
        raise ConfigError(f"a size is WIDTHxHEIGHT in pixels, such as 1280x720, not {size!r}")
    return {"width": int(found[1]), "height": int(found[2])}


def _engine(name: str) -> EngineSpec:
    """The engine by this name; one of somebody's own is named by its module, and found later."""
    if name not in ENGINES and "." not in name:
        raise ConfigError(f"no engine {name!r}; there are {', '.join(sorted(ENGINES))}")
    return EngineSpec(name)


def _roll(which: str, seconds: float | None, fps: int, fade_ticks: int) -> int:
    if seconds is None:
        return fade_ticks
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST_ROLL_S:
        raise ConfigError(f"a {which} lasts 0 to {LONGEST_ROLL_S:g} s")
    return round(seconds * fps)


def _probe(audio: Path, settings: SettingsModel) -> None:
    if not audio.is_file():
        raise MediaError(f"{audio}: {'is no file' if audio.exists() else 'no such file'}")
    try:
        with audio.open("rb"):
            pass
    except OSError as error:
        raise MediaError(f"{audio}: {error.strerror}") from error
    probe_upload(audio.absolute(), decode_settings(settings))
