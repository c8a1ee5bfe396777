"""Checks of where the stream goes: the relay, and each destination with its platform's limits."""

from __future__ import annotations

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from broadcaster.checks.finding import Finding
from broadcaster.errors import ConfigError
from broadcaster.redaction import redact_url
from broadcaster.relay.install import REMEDY, find_relay, prepare_relay
from broadcaster.relay.stat import fetch_stat
from broadcaster.settings.model import Channel, Destination, Relay, SettingsModel
from broadcaster.settings.platforms import Platform, load_platforms, plan_encode

_DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}
_STAT_TIMEOUT_S = 2.0
_NGINX_TIMEOUT_S = 10.0


def check_relay(settings: SettingsModel) -> Iterator[Finding]:
    """The RTMP module loads and nginx accepts our configuration, or the external relay answers."""
    relay = settings.relay
    if relay.mode == "embedded":
        yield _check_embedded(relay)
    elif relay.mode == "external":
        yield from _check_external(relay, settings.push.connect_timeout_s)
    elif any(channel.destinations for channel in settings.channels):
        yield Finding("ok", "relay", "none wanted; there is no preview")
    else:
        remedy = "Set relay.mode to embedded, or give a channel a destination."
        yield Finding("warn", "relay", "none wanted, and no destination: nobody sees it", remedy)


def _check_embedded(relay: Relay) -> Finding:
    try:
        install = find_relay()
        with tempfile.TemporaryDirectory(prefix="broadcaster-check-") as prefix:
            command = prepare_relay(relay, install, Path(prefix))
            answer = subprocess.run(
                [*command, "-t"], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_NGINX_TIMEOUT_S, check=False,
            )  # fmt: skip
    except ConfigError as error:
        return Finding("fail", "relay", str(error), _relay_remedy(str(error)))
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("fail", "relay", f"nginx cannot be run: {error}", f"Try: {REMEDY}")
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        remedy = f"nginx and its RTMP module must come from one source: {REMEDY}"
        return Finding("fail", "relay", f"nginx refuses its configuration: {lines[0]}", remedy)
    return Finding("ok", "relay", f"{install.nginx} with {install.module.name}")


def _relay_remedy(reason: str) -> str:
    if "relay.host" in reason:
        return "Set relay.host to 127.0.0.1, or relay.mode to external."
    return f"{REMEDY}, or set relay.mode to external or none."


def _check_external(relay: Relay, timeout_s: float) -> Iterator[Finding]:
    fault = tcp_fault(relay.url, timeout_s)
    place = redact_url(relay.url)
    if fault:
        yield Finding(
            "fail", "relay", f"{place}: {fault}", "Start the relay, or correct relay.url."
        )
    else:
        yield Finding("ok", "relay", f"{place} answers")
    if relay.stat_url:
        try:
            fetch_stat(relay.stat_url, _STAT_TIMEOUT_S)
        except (OSError, ValueError) as error:
            remedy = "Correct relay.stat_url, or leave it empty."
            yield Finding("warn", "relay statistics", str(error), remedy)
        else:
            yield Finding("ok", "relay statistics", "answers")


def tcp_fault(url: str, timeout_s: float) -> str:
    """Why the host of an RTMP address cannot be reached; empty when it can."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 1935)
        with socket.create_connection((parts.hostname or "", port), timeout=timeout_s):
            return ""
    except socket.gaierror:
        return "the host name is not known"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or "the address cannot be read"


def check_destinations(settings: SettingsModel) -> Iterator[Finding]:
    """Each destination is reachable, and what its platform's limits do to the one encode."""
    platforms = load_platforms()
    pairs = [(c, d) for c in settings.channels for d in c.destinations]
    timeout_s = settings.push.connect_timeout_s
    with ThreadPoolExecutor(max_workers=8) as pool:
        faults = pool.map(lambda pair: tcp_fault(pair[1].url.get_secret_value(), timeout_s), pairs)
        for (channel, destination), fault in zip(pairs, faults, strict=True):
            yield _destination(channel, destination, platforms[destination.platform], fault)
    for channel in settings.channels:
        yield from _check_plan(channel)
    if not pairs:
        yield Finding("ok", "destinations", "none beside the relay")


def _destination(
    channel: Channel, destination: Destination, platform: Platform, fault: str
) -> Finding:
    what = f"{channel.name} to {destination.name}"
    place = redact_url(destination.url.get_secret_value())
    if fault:
        remedy = "Correct its url, or look at the network and its firewall (outgoing TCP)."
        return Finding("fail", what, f"{place}: {fault}", remedy)
    limits = f"{platform.title}: {describe_limits(platform)}"
    return Finding("ok", what, f"{place} answers; {limits}")


def describe_limits(platform: Platform) -> str:
    """The limits of a platform in a few words; second-hand ones are marked."""
    units = {
        "gop_s_min": "key interval at least {:g} s",
        "gop_s_max": "key interval at most {:g} s",
        "max_video_kbps": "video at most {:g} kb/s",
        "max_audio_kbps": "sound at most {:g} kb/s",
        "session_cap_h": "new session every {:g} h",
    }
    known = [
        text.format(value) + (" (second-hand)" if key in platform.weak else "")
        for key, text in units.items()
        if (value := getattr(platform, key)) is not None
    ]
    return ", ".join(known) or "no limits known"


def _check_plan(channel: Channel) -> Iterator[Finding]:
    """One line with what is sent, one for each place where a platform's limit moved a setting."""
    plan = plan_encode(channel, load_platforms())
    fmt = plan.format
    yield Finding(
        "ok",
        f"encode of {channel.name}",
        f"{fmt.video.width}x{fmt.video.height} at {fmt.video.fps}/s, {fmt.bitrate_bps // 1000} + "
        f"{fmt.audio.bitrate_bps // 1000} kb/s, key interval {fmt.gop_ticks / fmt.video.fps:g} s",
    )
    remedy = f"Nothing, if that suits; else change channels.{channel.name} or its destinations."
    for note in plan.notes:
        yield Finding("warn", f"encode of {channel.name}", note, remedy)
