"""The Flask application factory: ``broadcaster.api.app:create_app()`` under gunicorn."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from flask import Flask

from broadcaster.api.access import Guard, install_guard
from broadcaster.api.avatar_room import EXTENSION as AVATARS
from broadcaster.api.avatar_room import AvatarRoom
from broadcaster.api.avatars import avatars
from broadcaster.api.channels import channels
from broadcaster.api.events import FEED, events
from broadcaster.api.feed import EventFeed
from broadcaster.api.health import health
from broadcaster.api.page import page
from broadcaster.api.problems import install_problems
from broadcaster.api.station import EXTENSION, StationView
from broadcaster.api.status import status
from broadcaster.api.tasks import tasks
from broadcaster.api.upload import FORM_OVERHEAD_BYTES, SpoolingRequest
from broadcaster.api.whep import whep
from broadcaster.clock import MonotonicClock
from broadcaster.errors import ConfigError
from broadcaster.logs import configure_logging
from broadcaster.paths import StatePaths
from broadcaster.settings.load import read_resolved
from broadcaster.settings.model import SettingsModel

SETTINGS_VARIABLE = "BROADCASTER_SETTINGS_JSON"


def create_app(settings: SettingsModel | None = None) -> Flask:
    """Make the application.

    Args:
        settings: None reads the file that ``$BROADCASTER_SETTINGS_JSON`` names, and sets up
            logging as the ``api`` role.

    Raises:
        ConfigError: there are no settings.
    """
    if settings is None:
        settings = _settings_of_the_role()
    paths = StatePaths(settings.station.state_dir)
    paths.make()
    view = StationView(settings, paths, MonotonicClock())
    with contextlib.suppress(OSError):
        view.store.spool.sweep_incoming()
    app = Flask("broadcaster.api", static_folder=None)
    app.request_class = SpoolingRequest
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_upload_mb * 2**20 + FORM_OVERHEAD_BYTES
    app.extensions[EXTENSION] = view
    app.extensions[AVATARS] = room = AvatarRoom(settings, paths)
    rates = {name: channel.audio.sample_rate for name, channel in view.channels.items()}
    app.extensions[FEED] = EventFeed(
        paths.playout_socket,
        view.store,
        view.avatars,
        rates,
        settings.api.event_clients,
        room.journal,
    )
    install_problems(app)
    install_guard(app, Guard(settings, paths, view.clock))
    for blueprint in (health, status, tasks, avatars, channels, events, whep, page):
        app.register_blueprint(blueprint)
    return app


def _settings_of_the_role() -> SettingsModel:
    file = os.environ.get(SETTINGS_VARIABLE)
    if not file:
        raise ConfigError(f"{SETTINGS_VARIABLE} must name the resolved settings")
    settings = read_resolved(Path(file))
    secrets = [d.url.get_secret_value() for c in settings.channels for d in c.destinations]
    configure_logging("api", settings.station.log_level, secrets)
    return settings
