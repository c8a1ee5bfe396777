"""The studio process: ``python -m broadcaster.studio --settings FILE``."""

from __future__ import annotations

import argparse
import logging
import signal
import time
from pathlib import Path
from types import FrameType

from broadcaster.callbacks.courier import Courier
from broadcaster.callbacks.secret import signing_secret
from broadcaster.callbacks.target import Allowed
from broadcaster.clock import MonotonicClock
from broadcaster.errors import ConfigError, StoreError
from broadcaster.logs import configure_logging
from broadcaster.paths import StatePaths
from broadcaster.processes import die_with_parent
from broadcaster.settings.load import read_resolved
from broadcaster.settings.model import SettingsModel
from broadcaster.store import Spool, TaskStore
from broadcaster.studio.studio import Studio

STORE_RETRY_S = 1.0
"""A store that cannot be opened (full disk) is tried again: the studio heals without a restart."""

log = logging.getLogger("broadcaster.studio")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="broadcaster.studio")
    parser.add_argument("--settings", type=Path, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    settings = read_resolved(arguments.settings)
    secrets = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    secrets += filter(None, [settings.callbacks.secret.get_secret_value()])
    configure_logging("studio", settings.station.log_level, secrets)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    paths = StatePaths(settings.station.state_dir)
    paths.make()
    run(settings, paths)
    return 0


def run(settings: SettingsModel, paths: StatePaths) -> None:
    """Loop for ever; a fault is logged and the loop goes on."""
    studio = Studio(settings, paths, MonotonicClock())
    try:
        _recover(studio)
        _start_courier(settings, paths)
        while True:
            try:
                studio.run_once()
            except Exception:
                log.exception("the studio's loop stumbled")
                time.sleep(STORE_RETRY_S)
    finally:
        studio.close()


def _start_courier(settings: SettingsModel, paths: StatePaths) -> None:
    """Deliver callbacks from now on; its threads die with the process."""
    try:
        secret = signing_secret(settings, paths)
    except ConfigError as error:
        log.error("no callback is delivered: %s", error)
        return
    store = TaskStore(paths.database, Spool(paths.spool), settings.api.queue_limit)
    allowed = Allowed(settings.callbacks.allow)
    Courier(store.outbox, secret, allowed, settings.api.history_hours * 3600).start()


def _recover(studio: Studio) -> None:
    while True:
        try:
            studio.recover()
        except StoreError as error:
            log.warning("%s", error)
            time.sleep(STORE_RETRY_S)
        else:
            return


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Leave at once, wherever the loop is: the store is safe against ``kill -9`` anyway."""
    raise SystemExit(0)


if __name__ == "__main__":
    raise SystemExit(main())
