"""The child that prepares a channel's idle programmes: ``python -m broadcaster.idle.prepare``.

One JSON line on standard output for each programme that became ready, best last: the avatar; or
the test card, then the clips; or, for ``--avatar``, just that one. It runs at low priority beside a
channel that is already on air with the slate; it may crash or be killed at any time, and air only
keeps what it has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import idle_media
from broadcaster.avatars.carried import as_message, from_message
from broadcaster.avatars.found import FoundAvatar
from broadcaster.avatars.shelf import find
from broadcaster.clock import wall_time_s
from broadcaster.errors import AvatarError, BroadcasterError, MediaError, StoreError
from broadcaster.formats import EncodeFormat
from broadcaster.idle.cache import LoopCache, content_hash, forget_drafts, forget_stale, loop_key
from broadcaster.idle.clip import decode_clip, forward_ticks, loop_order, loop_sound
from broadcaster.idle.draw import card_sound, draw_card
from broadcaster.idle.encode import encode_pictures, encode_sound
from broadcaster.idle.loop import EncodedLoop, load_loop, save_loop
from broadcaster.idle.presenter import avatar_content, avatar_pictures
from broadcaster.paths import StatePaths
from broadcaster.processes import die_with_parent, set_priority
from broadcaster.settings.load import read_resolved
from broadcaster.settings.model import Channel, IdleClip, SettingsModel
from broadcaster.settings.platforms import load_platforms, plan_encode
from broadcaster.store import ChannelAvatar, ChannelAvatars

NICE = 10


class Preparation:
    """Makes the loops of one channel, or finds them in the cache."""

    def __init__(self, settings: SettingsModel, channel: Channel, fmt: EncodeFormat) -> None:
        self._settings, self._channel, self._fmt = settings, channel, fmt
        self.cache = LoopCache(StatePaths(settings.station.state_dir).cache, fmt)

    def card(self) -> Path:
        """The moving test card."""
        audible = self._channel.idle.card_sound

        def make(folder: Path) -> None:
            pictures = lambda: draw_card(self._fmt, self._channel.name)  # noqa: E731
            packets, sets = encode_pictures(pictures, self._fmt)
            sound = encode_sound(card_sound(self._fmt), self._fmt) if audible else None
            save_loop(folder, "test card", packets, sets, sound)

        return self.cache.get(loop_key(self._fmt, card=self._channel.name, audible=audible), make)

    def avatar(self, avatar: FoundAvatar, still: bool = False) -> Path:
        """An avatar; ``still`` is one second without life, ready in no time.

        Raises:
            MediaError: it cannot be shown.
        """

        def make(folder: Path) -> None:
            pictures = avatar_pictures(avatar, self._fmt, still)
            packets, sets = encode_pictures(pictures, self._fmt)
            save_loop(folder, avatar.name, packets, sets, None)

        content = avatar_content(avatar)
        named = {"name": avatar.name, "engine": avatar.engine, "content": content}
        return self.cache.get(loop_key(self._fmt, avatar=named, still=still), make)

    def clip(self, clip: IdleClip) -> Path:
        """One clip as a loop of its own."""

        def make(folder: Path) -> None:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, suffix=".draft") as scratch:
                self._make_clip(clip, Path(scratch), folder)

        described = clip.model_dump(mode="json", exclude={"path"})
        limit_s = self._channel.idle.max_clip_s
        key = loop_key(self._fmt, clip=content_hash(clip.path), how=described, limit_s=limit_s)
        return self.cache.get(key, make)

    def _make_clip(self, clip: IdleClip, scratch: Path, folder: Path) -> None:
        limit_s, ffmpeg = self._channel.idle.max_clip_s, self._settings.push.ffmpeg
        raw = decode_clip(clip, self._fmt, ffmpeg, limit_s, scratch)
        order = loop_order(len(raw.pictures), clip.mode, self._fmt.gop_ticks)
        packets, sets = encode_pictures(lambda: (raw.pictures[i] for i in order), self._fmt)
        pcm = loop_sound(raw.sound, len(order), forward_ticks(order), self._fmt)
        save_loop(folder, clip.path.name, packets, sets, encode_sound(pcm, self._fmt))

    def programme(self, clips: list[Path]) -> Path:
        """Several clips in turn, as one loop."""
        if len(clips) == 1:
            return clips[0]

        def make(folder: Path) -> None:
            loops = [load_loop(clip, self._fmt) for clip in clips]
            packets = [bytes(packet) for loop in loops for packet in loop.packets]
            pcm = np.concatenate([self._pcm(loop) for loop in loops], axis=1)
            title = ", ".join(loop.title for loop in loops)
            sound = encode_sound(pcm, self._fmt)
            save_loop(folder, title, packets, loops[0].parameter_sets, sound)

        return self.cache.get(loop_key(self._fmt, programme=[c.name for c in clips]), make)

    def _pcm(self, loop: EncodedLoop) -> NDArray[np.float32]:
        return loop.sound.pcm(0, len(loop.packets) * self._fmt.samples_per_tick)


def announce(
    kind: str, folder: Path | None, error: str = "", avatar: FoundAvatar | None = None
) -> None:
    """One line for playout."""
    shown = None if avatar is None else as_message(avatar)
    line = {"kind": kind, "folder": str(folder) if folder else None, "error": error}
    sys.stdout.write(json.dumps({**line, "avatar": shown}) + "\n")
    sys.stdout.flush()


def prepare_channel(settings: SettingsModel, channel: Channel, fmt: EncodeFormat) -> Preparation:
    """Prepare everything a channel's idle needs, announcing each programme as it becomes ready."""
    work = Preparation(settings, channel, fmt)
    if channel.presenter and not channel.idle.clips:
        prepare_first_avatar(work, channel, settings.station.state_dir)
        return work
    announce("card", work.card())
    ready: list[Path] = []
    for clip in channel.idle.clips:
        try:
            ready.append(work.clip(clip))
        except (BroadcasterError, OSError) as error:
            announce("clip", None, f"{clip.path.name}: {error}")
            continue
        announce("clips", work.programme(ready))
    return work


def prepare_first_avatar(work: Preparation, channel: Channel, state_dir: Path) -> None:
    """The avatar that was on air last; where it cannot be shown, one that can.

    Raises:
        MediaError: not even the station's own.
    """
    for name in dict.fromkeys((*first_avatars(channel, state_dir), idle_media.DEFAULT)):
        try:
            avatar = find(name, state_dir)
            announce("avatar", work.avatar(avatar, still=True), avatar=avatar)
            announce("avatar", work.avatar(avatar), avatar=avatar)
        except (AvatarError, MediaError) as error:
            announce("avatar", None, str(error))
            failed = error
        else:
            return
    raise failed


def first_avatars(channel: Channel, state_dir: Path) -> list[str]:
    """Whom a channel should come up with, by what the store and the settings say."""
    database = StatePaths(state_dir).database
    record = ChannelAvatar(channel.name)
    with contextlib.suppress(StoreError):
        if database.exists():
            record = ChannelAvatars(database).of(channel.name)
    wished = [record.on_air, record.wished] if record.wished else []
    return [name for name in (*wished, channel.presenter) if name]


def prepare_wished(work: Preparation, channel: Channel, avatar: FoundAvatar) -> None:
    """One avatar that a channel is to change to; beside clips there is nothing to prepare."""
    folder = None if channel.idle.clips else work.avatar(avatar)
    announce("avatar", folder, avatar=avatar)


def main() -> int:
    """Prepare the channel named on the command line, or one avatar for it."""
    parser = argparse.ArgumentParser(prog="broadcaster.idle.prepare")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--channel", required=True)
    parser.add_argument("--avatar", type=lambda text: from_message(json.loads(text)))
    arguments = parser.parse_args()
    die_with_parent()
    set_priority(NICE)
    settings = read_resolved(arguments.settings)
    channel = next(c for c in settings.channels if c.name == arguments.channel)
    fmt = plan_encode(channel, load_platforms()).format
    forget_drafts(StatePaths(settings.station.state_dir).cache)
    try:
        if arguments.avatar is not None:
            work = Preparation(settings, channel, fmt)
            prepare_wished(work, channel, arguments.avatar)
        else:
            prepare_channel(settings, channel, fmt)
    except (BroadcasterError, OSError) as error:
        announce("idle", None, str(error))
        return 1
    forget_stale(StatePaths(settings.station.state_dir).cache, wall_time_s())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
