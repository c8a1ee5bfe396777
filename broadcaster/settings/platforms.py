"""What each live platform asks of a stream, as data, and the one encode that suits a channel.

The numbers stand in ``config/platforms/*.yaml``, each with the document it comes from. Planning is
pure; it must never raise a bitrate or lengthen a key interval beyond what a platform allows.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from broadcaster.errors import ConfigError
from broadcaster.formats import AudioFormat, EncodeFormat, VideoFormat
from broadcaster.settings.model import Channel

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Platform:
    """Limits of one platform; None = none known.

    Key intervals in seconds (equal minimum and maximum: exactly this one), bitrates in kb/s, the
    longest session in hours. ``sources`` names the document of each number and ``weak`` the numbers
    whose document is second-hand.
    """

    name: str
    title: str
    gop_s_min: float | None = None
    gop_s_max: float | None = None
    max_video_kbps: int | None = None
    max_audio_kbps: int | None = None
    session_cap_h: float | None = None
    notes: str = ""
    sources: tuple[tuple[str, str], ...] = ()
    weak: tuple[str, ...] = ()

    def wanted_gop_s(self, setting_s: float) -> float:
        """The key interval nearest to the setting that this platform takes."""
        gop_s = setting_s
        if self.gop_s_min is not None:
            gop_s = max(gop_s, self.gop_s_min)
        if self.gop_s_max is not None:
            gop_s = min(gop_s, self.gop_s_max)
        return gop_s


LIMITS = ("gop_s_min", "gop_s_max", "max_video_kbps", "max_audio_kbps", "session_cap_h")


@dataclass(frozen=True, slots=True)
class EncodePlan:
    """The one encode of a channel, and what it means for each destination.

    ``session_cap_s`` maps destination name -> longest session the platform takes, None = no limit
    known. ``notes`` are sentences for the operator: every place where a limit moved a setting or
    stays unmet.
    """

    format: EncodeFormat
    session_cap_s: Mapping[str, float | None]
    notes: tuple[str, ...]


def platform_folder() -> Path:
    """Where the platform files lie: beside the package (a clone), else the installed data path.

    Raises:
        ConfigError: in neither place.
    """
    candidates = (
        Path(__file__).resolve().parents[2] / "config" / "platforms",
        Path(sys.prefix) / "share" / "broadcaster" / "platforms",
    )
    for folder in candidates:
        if (folder / "generic.yaml").is_file():
            return folder
    raise ConfigError(f"platform limits not found; looked in {' and '.join(map(str, candidates))}")


def platform_names() -> frozenset[str]:
    """The known platforms, by file name, without reading the files."""
    return frozenset(file.stem for file in platform_folder().glob("*.yaml"))


@functools.cache
def load_platforms(folder: Path | None = None) -> Mapping[str, Platform]:
    """Every platform by name; read once per process.

    Raises:
        ConfigError: a file is unreadable, has an unknown key or is named unlike its platform.
    """
    files = sorted((folder or platform_folder()).glob("*.yaml"))
    return MappingProxyType({file.stem: _read_platform(file) for file in files})


def _read_platform(file: Path) -> Platform:
    import yaml  # noqa: PLC0415 (75 ms that most processes need not pay)

    try:
        data: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise ConfigError(f"{file}: not a readable platform file") from None
    if not isinstance(data, dict) or data.get("name") != file.stem or "title" not in data:
        raise ConfigError(f"{file}: needs 'name: {file.stem}' and a title")
    unknown = set(data) - {field.name for field in fields(Platform)}
    if unknown:
        raise ConfigError(f"{file}: unknown key: {', '.join(sorted(map(str, unknown)))}")
    data["sources"] = tuple(sorted((data.get("sources") or {}).items()))
    data["weak"] = tuple(data.get("weak") or ())
    return Platform(**data)


def plan_encode(channel: Channel, platforms: Mapping[str, Platform]) -> EncodePlan:
    """The one encode that suits a channel's destinations.

    The key interval is the setting, moved into what each destination takes; where they disagree the
    smallest wins. Bitrates are the lowest cap.

    Raises:
        ConfigError: a destination names an unknown platform.
    """
    asked = {d.name: _platform(platforms, d.platform) for d in channel.destinations}
    gop_s, gop_notes = _plan_gop(channel, asked)
    video_kbps, video_note = _lowest(
        channel.video.bitrate_kbps, {n: p.max_video_kbps for n, p in asked.items()}, "video"
    )
    audio_kbps, audio_note = _lowest(
        channel.audio.bitrate_kbps, {n: p.max_audio_kbps for n, p in asked.items()}, "sound"
    )
    video = channel.video
    return EncodePlan(
        format=EncodeFormat(
            video=VideoFormat(video.width, video.height, video.fps),
            audio=AudioFormat(channel.audio.sample_rate, audio_kbps * 1000),
            gop_ticks=round(gop_s * video.fps),
            bitrate_bps=video_kbps * 1000,
            preset=video.preset,
        ),
        session_cap_s={n: _hours_to_s(p.session_cap_h) for n, p in asked.items()},
        notes=(*gop_notes, *video_note, *audio_note),
    )


def _platform(platforms: Mapping[str, Platform], name: str) -> Platform:
    if name not in platforms:
        raise ConfigError(f"unknown platform {name!r} (known: {', '.join(sorted(platforms))})")
    return platforms[name]


def _hours_to_s(hours: float | None) -> float | None:
    return None if hours is None else hours * _SECONDS_PER_HOUR


def _plan_gop(channel: Channel, asked: Mapping[str, Platform]) -> tuple[float, Iterable[str]]:
    """The key interval in seconds, and a sentence for each disagreement."""
    setting_s = channel.video.gop_s
    wanted = {name: platform.wanted_gop_s(setting_s) for name, platform in asked.items()}
    gop_s = min(wanted.values(), default=setting_s)
    notes = []
    if gop_s != setting_s:
        who = _names(name for name, each in wanted.items() if each == gop_s)
        notes.append(f"Key interval {gop_s:g} s instead of the set {setting_s:g} s: {who} asks so.")
    unmet = [f"{name} asks for {wanted[name]:g} s" for name in wanted if wanted[name] > gop_s]
    if unmet:
        notes.append(
            f"Destinations disagree on the key interval: {_names(unmet)}, "
            f"but the smallest ({gop_s:g} s) is sent to all."
        )
    return gop_s, notes


def _lowest(setting: int, caps: Mapping[str, int | None], what: str) -> tuple[int, Iterable[str]]:
    """The setting or the lowest cap in kb/s, and a sentence when the cap won."""
    known = {name: cap for name, cap in caps.items() if cap is not None and cap < setting}
    if not known:
        return setting, ()
    lowest = min(known.values())
    who = _names(name for name, cap in known.items() if cap == lowest)
    return lowest, (
        f"Bitrate of the {what} {lowest} kb/s instead of the set {setting} kb/s: "
        f"{who} takes no more, and one encode goes to all.",
    )


def _names(names: Iterable[str]) -> str:
    return " and ".join(names)
