"""The preview process: ``python -m broadcaster.preview --settings FILE``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from aiortc import RTCIceServer

from broadcaster.clock import MonotonicClock
from broadcaster.heartbeat import HeartbeatWriter
from broadcaster.logs import configure_logging
from broadcaster.paths import StatePaths
from broadcaster.preview.addresses import offer_addresses
from broadcaster.preview.channel import PreviewChannel
from broadcaster.preview.desk import Desk
from broadcaster.preview.door import Door
from broadcaster.processes import die_with_parent
from broadcaster.relay.config import channel_url
from broadcaster.settings.load import read_resolved
from broadcaster.settings.model import IceServer, SettingsModel

BEAT_S = 0.5
"""Pulse for the supervisor, and how often sessions are attended to."""

log = logging.getLogger("broadcaster.preview")


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="broadcaster.preview")
    parser.add_argument("--settings", type=Path, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    settings = read_resolved(arguments.settings)
    configure_logging("preview", settings.station.log_level, _secrets(settings))
    for library in ("aiortc", "aioice"):  # they tell of every ICE check
        logging.getLogger(library).setLevel(logging.WARNING)
    paths = StatePaths(settings.station.state_dir)
    paths.make()
    asyncio.run(serve(settings, paths))
    return 0


async def serve(settings: SettingsModel, paths: StatePaths) -> None:
    """Serve until a stop signal comes."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    clock = MonotonicClock()
    offered = offer_addresses([str(each) for each in settings.preview.ice_addresses])
    log.info("viewers are offered %s", ", ".join(offered))
    channels = {
        each.name: PreviewChannel(each.name, channel_url(settings.relay, each.name), clock, loop)
        for each in settings.channels
    }
    servers = [_ice_server(each) for each in settings.preview.ice_servers]
    desk = Desk(channels, servers, settings.preview.max_viewers, clock)
    door = Door(paths.preview_socket, desk)
    pulse = HeartbeatWriter(paths.preview_heartbeat)
    await door.open()
    passes = 0
    while not stopping.is_set():
        passes += 1
        pulse.beat(passes, clock.now())
        desk.attend()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), BEAT_S)
    await door.close()
    await desk.close()
    pulse.close()


def _ice_server(server: IceServer) -> RTCIceServer:
    return RTCIceServer(
        urls=server.url,
        username=server.username or None,
        credential=server.credential.get_secret_value() or None,
    )


def _secrets(settings: SettingsModel) -> list[str]:
    pushed = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    credentials = [each.credential.get_secret_value() for each in settings.preview.ice_servers]
    return [each for each in (*pushed, settings.relay.url, *credentials) if each]


if __name__ == "__main__":
    raise SystemExit(main())
