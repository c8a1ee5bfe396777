"""What the operator reads on the terminal once the station is on air. Pure text."""

from __future__ import annotations

from broadcaster.relay.config import channel_url
from broadcaster.settings.model import SettingsModel


def summary(settings: SettingsModel, elapsed_s: float) -> str:
    """One block: where to watch, how to speak, what to try next."""
    api = f"http://{_shown(settings.api.host)}:{settings.api.port}"
    urls = [url for c in settings.channels if (url := channel_url(settings.relay, c.name))]
    names = ", ".join(channel.name for channel in settings.channels)
    lines = [
        "",
        f"  {settings.station.name} is on air: {names} ({elapsed_s:.1f} s after start)",
        "",
        f"    page     {api}/",
        *(f"    watch    ffplay {url}" for url in urls),
        f"    speak    curl -F audio_file=@speech.wav {api}/generate_video",
        f"    status   curl {api}/status",
        f"    metrics  curl {api}/metrics",
        "    stop     Ctrl-C",
        "",
    ]
    return "\n".join(lines)


def _shown(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
