"""Checks of FFmpeg and of the codecs inside PyAV: by asking them, and by really encoding."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from broadcaster.checks.finding import Finding
from broadcaster.settings.model import SettingsModel

_ANSWER_WITHIN_S = 10.0
"""FFmpeg lists its parts in 0.1 s; ten seconds is a machine in trouble."""

_INSTALL_FFMPEG = "Install FFmpeg (apt install ffmpeg), or set push.ffmpeg to its path."


def check_ffmpeg(settings: SettingsModel) -> Iterator[Finding]:
    """The program that pushes: present, and with every part that a push needs."""
    program = settings.push.ffmpeg
    try:
        formats = _listing(program, "-formats")
        protocols = set(_ask(program, "-protocols").split())
        codecs = _listing(program, "-codecs")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("fail", "ffmpeg", f"{program}: {_why(error)}", _INSTALL_FFMPEG)
        return
    parts = {
        "reads FLV": "D" in formats.get("flv", ""),
        "writes FLV": "E" in formats.get("flv", ""),
        "pipe": "pipe" in protocols,
        "RTMP": "rtmp" in protocols,
        "AAC": "D" in codecs.get("aac", ""),
        "H.264": "D" in codecs.get("h264", ""),
    }
    if _uses_rtmps(settings):
        parts["RTMPS"] = "rtmps" in protocols
    missing = ", ".join(part for part, there in parts.items() if not there)
    if missing:
        yield Finding("fail", "ffmpeg", f"{program}: missing {missing}", _INSTALL_FFMPEG)
    else:
        yield Finding("ok", "ffmpeg", f"{_version(program)}: {', '.join(parts)}")


def _uses_rtmps(settings: SettingsModel) -> bool:
    urls = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    return any(url.startswith("rtmps:") for url in (*urls, settings.relay.url))


def _ask(program: str, *question: str) -> str:
    answer = subprocess.run(
        [program, "-hide_banner", *question],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_ANSWER_WITHIN_S,
        check=True,
    )
    return answer.stdout.decode(errors="replace")


def _listing(program: str, question: str) -> dict[str, str]:
    """Name -> its flags, of lists like `` DE flv   FLV (Flash Video)``."""
    found: dict[str, str] = {}
    for line in _ask(program, question).splitlines():
        flags, _, rest = line.strip().partition(" ")
        for name in (rest.split() or [""])[0].split(","):
            found[name] = found.get(name, "") + flags
    return found


def _version(program: str) -> str:
    return " ".join(_ask(program, "-version").split()[:3])


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return "does not answer"
    return getattr(error, "strerror", None) or str(error)


def check_encoders(settings: SettingsModel) -> Iterator[Finding]:
    """The encoders inside PyAV, each by encoding two pictures or two sound frames."""
    reinstall = "Install the package's pinned requirements again (PyAV carries its own codecs)."
    from broadcaster.codec import probe  # noqa: PLC0415 (0.2 s that --help must not pay)

    encoders = (("libx264", probe.picture_encoder_fault), ("aac", probe.sound_encoder_fault))
    for name, encode in encoders:
        fault = encode(name)
        what = f"encoder {name}"
        if fault:
            yield Finding("fail", what, fault, reinstall)
        else:
            yield Finding("ok", what, "encodes")
    yield _check_hardware(settings.playout.video_encoder)


def _check_hardware(wanted: str) -> Finding:
    """The hardware encoder is a gain, never a need: what fails falls back to x264."""
    if wanted == "x264":
        return Finding("ok", "hardware encoder", "not wanted (playout.video_encoder is x264)")
    from broadcaster.codec.probe import HARDWARE, picture_encoder_fault  # noqa: PLC0415

    fault = picture_encoder_fault(HARDWARE)
    if not fault:
        return Finding("ok", "hardware encoder", "h264_nvenc encodes, but is not used for air yet")
    detail = f"h264_nvenc does not work here ({fault}); falls back to x264 on the CPU"
    if wanted == "nvenc":
        remedy = "Install the NVIDIA driver, or set playout.video_encoder to auto."
        return Finding("warn", "hardware encoder", detail, remedy)
    return Finding("ok", "hardware encoder", detail)
