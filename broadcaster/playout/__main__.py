"""The playout process: ``python -m broadcaster.playout --settings FILE``."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
from pathlib import Path

from broadcaster.logs import configure_logging
from broadcaster.playout.station import Station
from broadcaster.processes import die_with_parent, set_priority
from broadcaster.settings.load import read_resolved

log = logging.getLogger("broadcaster.playout")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="broadcaster.playout")
    parser.add_argument("--settings", type=Path, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    settings = read_resolved(arguments.settings)
    secrets = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    configure_logging("playout", settings.station.log_level, secrets)
    set_priority(settings.playout.nice)
    station = Station(settings, arguments.settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: station.loop.stop())
    gc.collect()
    gc.freeze()  # what lives now lives for ever: full collections would walk it in mid-air
    station.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
