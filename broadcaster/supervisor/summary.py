"""What the operator reads on the terminal once the station is on air. Pure text."""

from __future__ import annotations

from broadcaster.access.role import tokens_needed
from broadcaster.relay.config import channel_url
from broadcaster.settings.model import SettingsModel


def summary(settings: SettingsModel, elapsed_s: float, usable_tokens: int = 0) -> str:
    """One block: where to watch, how to speak, what to try next.

    Args:
        settings: of the station.
        elapsed_s: since the start.
        usable_tokens: that exist and have not expired.
    """
    api = f"http://{_shown(settings.api.host)}:{settings.api.port}"
    urls = [url for c in settings.channels if (url := channel_url(settings.relay, c.name))]
    names = ", ".join(channel.name for channel in settings.channels)
    needed = tokens_needed(settings.api)
    curl = 'curl -H "Authorization: Bearer $TOKEN"' if needed else "curl"
    missing = ("    token    broadcaster token create --role operator   (there is none yet)",)
    lines = [
        "",
        f"  {settings.station.name} is on air: {names} ({elapsed_s:.1f} s after start)",
        "",
        f"    page     {api}/",
        *(missing if needed and not usable_tokens else ()),
        *(f"    watch    ffplay {url}" for url in urls),
        f"    speak    {curl} -F audio_file=@speech.wav {api}/generate_video",
        f"    status   {curl} {api}/status",
        f"    metrics  {curl} {api}/metrics",
        "    stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _shown(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
