"""Check of the voices: whoever would speak a text on each channel is there."""

from __future__ import annotations

from collections.abc import Iterator

from broadcaster.checks.finding import Finding
from broadcaster.errors import ConfigError
from broadcaster.settings.model import SettingsModel
from broadcaster.speech.speaking import check_voice, fitting_voice


def check_voices(settings: SettingsModel) -> Iterator[Finding]:
    """The voice of every channel, by ``speech.voice`` or by its presenter."""
    for channel in settings.channels:
        what = f"voice of {channel.name}"
        voice = fitting_voice("", settings.speech.voice, channel.presenter)
        try:
            check_voice(voice)
        except ConfigError as error:
            remedy = "Set speech.voice to one that is there, such as auto, espeak or espeak:de."
            yield Finding("fail", what, f"{voice}: {error}", remedy)
        else:
            whose = "speech.voice" if settings.speech.voice == voice else "fits who is on air"
            yield Finding("ok", what, f"{voice} ({whose})")
