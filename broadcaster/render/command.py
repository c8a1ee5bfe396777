"""``broadcaster render``: from the command line to a film and a line that says what was made.

In front of the render. What it needs is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from broadcaster.errors import BroadcasterError, ConfigError, SourceError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from broadcaster.render.order import Asked

Say = Callable[[str], None]

EXIT_FAILED = 1
EXIT_REFUSED = 2
"""Nothing was begun: what was asked cannot be meant, or its sound or text cannot be used."""

NICE = 10
"""A film gives way to a station on the same machine."""

_EPILOG = """\
exit status: 0 the film is there; 1 it could not be made; 2 it was refused before it was begun;
128 + n ended by signal n. Unless it is 0 nothing is left of the film."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options to the parser of the ``render`` command."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    said = parser.add_mutually_exclusive_group(required=True)
    said.add_argument("--audio", type=Path, metavar="FILE", help="sound to be said")
    said.add_argument("--text", metavar="TEXT", help="text to be said; - reads standard input")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--voice", help="who speaks the text (default: speech.voice)")
    parser.add_argument("--avatar", help="who is seen (default: the first channel's)")
    parser.add_argument("--engine", help="what draws the pictures (default: the avatar's own)")
    parser.add_argument("--size", metavar="WxH", help="pixels (default: the first channel's)")
    parser.add_argument("--fps", type=int, help="pictures per second: 25 or 30")
    parser.add_argument("--rate", type=int, metavar="HZ", help="sound: 44100 or 48000")
    for name, place in (("pre", "before the sound"), ("post", "after the fade out")):
        parser.add_argument(
            f"--{name}-roll",
            type=float,
            metavar="S",
            help=f"idle {place} (default: as long as a fade, playout.fade_ms)",
        )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings of a station")


def run(arguments: argparse.Namespace, say: Say, complain: Say) -> int:
    """Make the film; returns the exit status."""
    from broadcaster.render.stopping import StopSignals  # noqa: PLC0415 (see the module's text)

    with StopSignals() as signals:
        try:
            say(_make(arguments, signals.held))
        except (ConfigError, SourceError) as error:
            for line in str(error).splitlines():
                complain(line)
            return EXIT_REFUSED
        except BroadcasterError as error:
            complain(str(error))
            return EXIT_FAILED
    return 0


def _make(
    arguments: argparse.Namespace, undisturbed: Callable[[], AbstractContextManager[None]]
) -> str:
    from broadcaster.processes import set_priority  # noqa: PLC0415
    from broadcaster.render.film import render  # noqa: PLC0415
    from broadcaster.render.order import read_order  # noqa: PLC0415
    from broadcaster.render.progress import ProgressLine, describe  # noqa: PLC0415
    from broadcaster.settings.load import load_settings  # noqa: PLC0415

    settings = load_settings(arguments.config, with_credentials=False)
    order = read_order(_asked(arguments), settings)
    set_priority(NICE)
    video, rate = order.fmt.video, order.fmt.audio.sample_rate
    progress = ProgressLine(sys.stderr, video.fps, time.monotonic)
    begun = time.monotonic()
    try:
        film = render(order, settings, progress, undisturbed)
    finally:
        progress.close()
    took_s = time.monotonic() - begun
    what = f"{film.pictures / video.fps:.2f} s, {video.width}x{video.height}, {rate} Hz"
    told = describe(film.pictures, film.pictures, video.fps, took_s)
    return f"{order.out}: {what}, sound {film.gain_db:+.1f} dB; {told.lstrip()}; {took_s:.1f} s"


def _asked(arguments: argparse.Namespace) -> Asked:
    from broadcaster.render.order import Asked  # noqa: PLC0415

    text = arguments.text
    if text == "-":
        # Half a character, which a pipe can bring, cannot be spoken.
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    return Asked(
        out=arguments.out,
        audio=arguments.audio,
        text=text,
        voice=arguments.voice,
        avatar=arguments.avatar,
        engine=arguments.engine,
        size=arguments.size,
        fps=arguments.fps,
        rate=arguments.rate,
        before_s=arguments.pre_roll,
        after_s=arguments.post_roll,
        force=arguments.force,
    )
