"""The station's roles as command lines: relay, playout, studio, preview, API."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from broadcaster.paths import StatePaths
from broadcaster.relay.install import find_relay, prepare_relay
from broadcaster.settings.model import SettingsModel
from broadcaster.supervisor.role import RoleSpec
from broadcaster.supervisor.watch import HeartbeatWatch, HttpWatch

_PLAYOUT_START_S = 30.0
"""A tick loop must beat within this time of its start; on a loaded machine imports take seconds."""

_ON_AIR_PAUSE_S = 1.0
"""Longest pause before playout or relay is tried again. The channel is dark meanwhile, and a try a
second costs little; 20 kills in a row had let the general pause grow to 30 s."""

_STUDIO_PAUSE_S = 0.5
"""Longest pause before the studio is tried again. What is rendered lasts for 4 s, and a studio
takes 1.2 s to its first picture; after kills a few seconds apart the general pause is longer."""

_VERDICT_LATE_S = 0.55
"""A verdict waits for the next tick of the loop (0.5 s, and a little jitter): taken off the limit,
so that a hung relay is replaced within the time that the settings promise."""

_PREVIEW_HUNG_S = 10.0
_PREVIEW_START_S = 30.0
"""Its event loop beats twice a second; its imports take a second on an idle machine."""

_PREVIEW_PAUSE_S = 5.0
"""Longest pause before it is tried again: somebody may be looking at a black page."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn unlinks its file as soon as it is open


def station_roles(settings: SettingsModel, paths: StatePaths) -> tuple[RoleSpec, ...]:
    """The roles of these settings, in starting order; writes the relay's configuration.

    Raises:
        ConfigError: the relay is not installed, or its settings do not fit.
        OSError: the run folder cannot be written.
    """
    own = (_python_role("playout", settings, paths), _python_role("studio", settings, paths))
    relay = (_relay(settings, paths),) if settings.relay.mode == "embedded" else ()
    preview = (_preview(settings, paths),) if settings.has_preview else ()
    return (*relay, *own, *preview, _api(settings, paths))


def role_environment(paths: StatePaths) -> dict[str, str]:
    """What every role finds in its environment, on top of ours.

    Numeric libraries get one thread: pictures are small, and idle pool threads cost wake-ups.
    Two allocator arenas keep a threaded process's memory from spreading.
    """
    return {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(paths.metrics),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def api_command(settings: SettingsModel, paths: StatePaths) -> tuple[str, ...]:
    """Gunicorn's command line: one worker process, since its queue view is a singleton."""
    host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
    heartbeat_dir = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else paths.run
    return (
        *(sys.executable, "-m", "gunicorn"),
        *("--config", "python:broadcaster.supervisor.gunicorn_hooks"),
        *("--bind", f"{host}:{settings.api.port}"),
        *("--worker-class", "broadcaster.api.worker.PatientWorker"),
        *("--workers", "1", "--threads", str(settings.api.threads + settings.api.event_clients)),
        *("--worker-tmp-dir", str(heartbeat_dir)),
        *("--timeout", "30", "--graceful-timeout", "2", "--keep-alive", "5"),
        *("--log-level", "warning", "--no-control-socket"),
        "broadcaster.api.app:create_app()",
    )


def upload_dir(paths: StatePaths) -> Path:
    """Where uploads lie while they arrive; emptied at each start and stop."""
    return paths.spool / "tmp"


def _relay(settings: SettingsModel, paths: StatePaths) -> RoleSpec:
    hung_after_s = settings.supervisor.relay_hung_after_s
    return RoleSpec(
        name="relay",
        argv=prepare_relay(settings.relay, find_relay(), paths.relay),
        foreign=True,
        watch=HttpWatch(
            host="127.0.0.1",
            port=settings.relay.stat_port,
            path="/stat",
            period_s=0.5,
            timeout_s=1.0,
            limit_s=max(hung_after_s - _VERDICT_LATE_S, 1.5),
            first_limit_s=max(hung_after_s, 5.0),
        ),
        stop_by=1.0,
        longest_pause_s=_ON_AIR_PAUSE_S,
    )


def _python_role(name: str, settings: SettingsModel, paths: StatePaths) -> RoleSpec:
    module = f"broadcaster.{name}"
    argv = (sys.executable, "-m", module, "--settings", str(paths.resolved_settings))
    if name == "studio":
        return RoleSpec(name=name, argv=argv, longest_pause_s=_STUDIO_PAUSE_S)
    if name != "playout":
        return RoleSpec(name=name, argv=argv)
    hang_after_s = settings.playout.hang_after_s
    watch = HeartbeatWatch(paths.heartbeat, hang_after_s, max(hang_after_s, _PLAYOUT_START_S))
    return RoleSpec(
        name=name, argv=argv, watch=watch, stop_by=0.85, longest_pause_s=_ON_AIR_PAUSE_S
    )


def _preview(settings: SettingsModel, paths: StatePaths) -> RoleSpec:
    role = _python_role("preview", settings, paths)
    watch = HeartbeatWatch(paths.preview_heartbeat, _PREVIEW_HUNG_S, _PREVIEW_START_S)
    return replace(role, watch=watch, longest_pause_s=_PREVIEW_PAUSE_S)


def _api(settings: SettingsModel, paths: StatePaths) -> RoleSpec:
    return RoleSpec(
        name="api",
        argv=api_command(settings, paths),
        foreign=True,
        env={
            "BROADCASTER_SETTINGS_JSON": str(paths.resolved_settings),
            "TMPDIR": str(upload_dir(paths)),
        },
        watch=HttpWatch(
            host=_reachable(settings.api.host),
            port=settings.api.port,
            path="/healthz",
            period_s=5.0,
            timeout_s=5.0,
            limit_s=15.0,
            first_limit_s=30.0,
        ),
    )


def _reachable(host: str) -> str:
    """An address to ask at: a wildcard is no destination, a name would need a blocking look-up."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(  # noqa: S104
        host, host
    )
