"""``broadcaster run``: becomes the station and returns when it has ended.

Order: lock, ports, clean run folder, settings for the roles, environment, roles; and back again.
Every way out passes through the same clean-up, so that nothing is left behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from broadcaster.access.tokens import TokenFile
from broadcaster.avatars.substitute import with_avatars_that_exist
from broadcaster.clock import Clock, MonotonicClock, wall_time_s
from broadcaster.condition import Condition
from broadcaster.errors import BroadcasterError, ConfigError
from broadcaster.logs import configure_logging
from broadcaster.notify import Notifier
from broadcaster.paths import StatePaths
from broadcaster.settings.load import write_resolved
from broadcaster.settings.model import SettingsModel
from broadcaster.studio.report import SUBSTITUTES_FILE_NAME, Report
from broadcaster.supervisor import parent
from broadcaster.supervisor.claim import memory_folder, require_free_ports, station_lock
from broadcaster.supervisor.loop import Attendant, SupervisorLoop
from broadcaster.supervisor.readiness import Readiness, WatchdogFeeder
from broadcaster.supervisor.role import RoleSpec
from broadcaster.supervisor.roles import role_environment, station_roles, upload_dir
from broadcaster.supervisor.signals import SignalInbox
from broadcaster.supervisor.strays import StrayReaper, adopt_orphans, kill_strays
from broadcaster.supervisor.summary import summary

logger = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_REFUSED = 2
"""The station was not started: its settings, ports or folder do not allow it."""

_STRAYS_S = 0.5
"""A killed process is gone in milliseconds; one stuck in the kernel is not worth waiting for."""

RoleFactory = Callable[[SettingsModel, StatePaths], Sequence[RoleSpec]]

ROSTER_NAME = "roles.json"


def run_station(settings: SettingsModel, roles: RoleFactory = station_roles) -> int:
    """Run the station until it is told to stop.

    Args:
        settings: as ``load_settings`` gives them.
        roles: what to run; tests pass stand-ins.

    Returns:
        The exit status: 0 after an ordered stop, 2 when it was not allowed to start, 1 when the
        supervisor itself failed.
    """
    clock = MonotonicClock()
    began = clock.now()
    _open_standard_streams()
    configure_logging("supervisor", settings.station.log_level, _secrets(settings))
    state_dir = settings.station.state_dir.absolute()
    station = settings.station.model_copy(update={"state_dir": state_dir})
    settings = settings.model_copy(update={"station": station})
    paths = StatePaths(state_dir)
    settings, substituted = with_avatars_that_exist(settings)
    try:
        with SignalInbox() as inbox, _claimed(settings, paths, clock):
            _tell_substitutes(paths, substituted, clock)
            specs = roles(settings, paths)
            return _run(settings, specs, paths, inbox, clock, began)
    except (BroadcasterError, OSError) as error:
        for line in str(error).splitlines():
            print(f"broadcaster: {line}", file=sys.stderr)
        return EXIT_REFUSED


def _run(
    settings: SettingsModel,
    specs: Sequence[RoleSpec],
    paths: StatePaths,
    inbox: SignalInbox,
    clock: Clock,
    began: float,
) -> int:
    adopt_orphans()
    notifier = Notifier.from_environment(os.environ)
    attendants: list[Attendant] = []
    loop = SupervisorLoop(
        specs,
        env=role_environment(paths),
        settings=settings.supervisor,
        roster=paths.run / ROSTER_NAME,
        attendants=attendants,
        clock=clock,
    )
    announce = _announcer(settings)
    attendants += _attendants(paths, notifier, announce, began, loop.request_stop)
    try:
        reason = loop.run(inbox)
    except Exception:
        logger.exception("the supervisor failed; stopping every role")
        return EXIT_FAILED
    else:
        logger.info("stopping: %s", reason)
        return EXIT_STOPPED
    finally:
        notifier.stopping()
        loop.stop()
        kill_strays(clock.now() + _STRAYS_S, clock)
        notifier.close()


def _attendants(
    paths: StatePaths,
    notifier: Notifier,
    announce: Callable[[float], None],
    began: float,
    request_stop: Callable[[str], None],
) -> Iterator[Attendant]:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(paths.metrics)
    from broadcaster.supervisor.accounting import Accounting  # noqa: PLC0415 (needs the variable)

    yield Readiness(paths.playout_socket, paths.heartbeat, notifier, announce, began)
    yield StrayReaper()
    yield WatchdogFeeder(paths.heartbeat, notifier)
    yield Accounting(paths.root, paths.metrics)
    if os.environ.get(parent.VARIABLE):
        yield parent.ParentWatch(request_stop)


def _tell_substitutes(paths: StatePaths, substituted: Mapping[str, str], clock: Clock) -> None:
    """Channels that are on air with another avatar than they should be: log and ``/status``."""
    for channel, why in substituted.items():
        logger.error("channel %s: %s", channel, why)
    now = clock.now()
    Report(paths.run, SUBSTITUTES_FILE_NAME).write(
        tuple(Condition(f"avatar/{c}", "substituted", w, now) for c, w in substituted.items())
    )


def _announcer(settings: SettingsModel) -> Callable[[float], None]:
    def announce(elapsed_s: float) -> None:
        logger.info("on air after %.1f s", elapsed_s)
        with contextlib.suppress(OSError):  # whoever read our output may be gone
            print(summary(settings, elapsed_s, _usable_tokens(settings)), flush=True)

    return announce


def _usable_tokens(settings: SettingsModel) -> int:
    with contextlib.suppress(ConfigError):
        tokens = TokenFile(StatePaths(settings.station.state_dir).tokens).read()
        return sum(not token.expired(wall_time_s()) for token in tokens)
    return 0


@contextlib.contextmanager
def _claimed(settings: SettingsModel, paths: StatePaths, clock: Clock) -> Iterator[None]:
    """Lock and ports are ours inside the block, and the run folder is fresh; empty afterwards."""
    paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with station_lock(paths.lock):
        require_free_ports(settings, clock)
        _empty(paths.run)
        _empty(upload_dir(paths))
        with memory_folder(paths):
            paths.make()
            upload_dir(paths).mkdir(mode=0o700, exist_ok=True)
            write_resolved(settings, paths.resolved_settings)
            try:
                yield
            finally:
                _empty(paths.run)
                _empty(upload_dir(paths))


def _empty(folder: Path) -> None:
    """Remove what is in ``folder``; what cannot be removed is left for the next start."""
    with contextlib.suppress(FileNotFoundError):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    entry.unlink()


def _open_standard_streams() -> None:
    """A station started with closed streams must not hand their numbers to its sockets."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)


def _secrets(settings: SettingsModel) -> list[str]:
    pushed = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    return [*pushed, settings.relay.url] if settings.relay.url else pushed
