"""Checks of the idle clips: each is opened and its first picture decoded."""

from __future__ import annotations

from collections.abc import Iterator

from broadcaster.checks.finding import Finding
from broadcaster.settings.model import Channel, IdleClip, SettingsModel

_CONVERT = "Give another file, or convert it: ffmpeg -i FILE -pix_fmt yuv420p new.mp4"


def check_idle_media(settings: SettingsModel) -> Iterator[Finding]:
    """Every idle clip of every channel."""
    for channel in settings.channels:
        if not channel.idle.clips:
            shown = f"the presenter {channel.presenter}" if channel.presenter else "the test card"
            yield Finding("ok", f"idle of {channel.name}", f"no clips: {shown}")
        for number, clip in enumerate(channel.idle.clips):
            key = f"channels.{channel.name}.idle.clips.{number}"
            yield _check_clip(clip, channel, key)


def _check_clip(clip: IdleClip, channel: Channel, key: str) -> Finding:
    what = f"idle of {channel.name}"
    if not clip.path.is_file():
        return Finding("fail", what, f"{clip.path}: no such file", f"Correct {key}.path.")
    import av  # noqa: PLC0415 (0.2 s that --help must not pay)

    try:
        with av.open(str(clip.path), options={"protocol_whitelist": "file"}) as media:
            if not media.streams.video:
                return Finding("fail", what, f"{clip.path}: no picture in it", _CONVERT)
            picture = next(media.decode(video=0))
            length_s = (media.duration or 0) / av.time_base
            sound = "sound" if media.streams.audio else "no sound"
    except StopIteration:
        return Finding("fail", what, f"{clip.path}: no picture in it", _CONVERT)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding("fail", what, f"{clip.path}: {reason}", _CONVERT)
    detail = f"{clip.path}: {picture.width}x{picture.height}, {length_s:.1f} s, {sound}"
    limit_s = channel.idle.max_clip_s
    if length_s > limit_s:
        remedy = f"Shorten it, or raise channels.{channel.name}.idle.max_clip_s."
        return Finding("warn", what, f"{detail}; only the first {limit_s:g} s are used", remedy)
    return Finding("ok", what, detail)
