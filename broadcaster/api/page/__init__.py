"""The page at ``/``: the live picture with sound, what is on air, and a form to speak.

Plain files beside this module, no build step, no library, nothing from elsewhere. The scripts share
one scope and are read in the order in which the page names them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from flask import Blueprint, Response, request
from markupsafe import escape

from broadcaster.api.station import StationView, station_view
from broadcaster.avatars.neural import set_up

page = Blueprint("page", __name__)

SCRIPTS = ("door", "picture", "air", "speak", "avatars", "editor", "log", "page")
"""In the order in which they are read; each is served as ``/<name>.js``."""

_FOLDER = Path(__file__).parent

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere. WebRTC itself is no matter of the policy."""


@page.get("/")
def show_page() -> Response:
    """The page; everything that changes comes from ``/status`` and ``/tasks``."""
    view = station_view()
    options = "".join(f"<option>{escape(name)}</option>" for name in view.channels)
    text = _read("page.html").replace("@CHANNELS@", options)
    text = text.replace("@SETTINGS@", str(escape(_settings(view))))
    text = text.replace("@STATION@", str(escape(view.settings.station.name)))
    response = _file(text, "text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@page.get("/page.css")
def style() -> Response:
    """How it looks."""
    return _file(_read("page.css"), "text/css")


def script(part: str) -> Response:
    """What it does, part by part."""
    return _file(_read(f"{part}.js"), "text/javascript")


for _part in SCRIPTS:
    page.add_url_rule(f"/{_part}.js", _part, functools.partial(script, _part))


@page.get("/favicon.svg")
def icon() -> Response:
    """Its icon."""
    return _file(_read("favicon.svg"), "image/svg+xml")


def _settings(view: StationView) -> str:
    """What the script must know before it asks: sizes, engines, whether there is a preview."""
    sizes = {name: [c.video.width, c.video.height] for name, c in view.channels.items()}
    sound, avatar = view.settings.api.max_upload_mb, view.settings.avatars.max_upload_mb
    most_mb = {"sound": sound, "avatar": avatar}
    told = {"preview": view.settings.has_preview, "sizes": sizes, "most_mb": most_mb}
    return json.dumps({**told, "engines": set_up(view.settings)})


@functools.cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _file(text: str, mimetype: str) -> Response:
    """An answer that a browser keeps, but asks about each time (a new version is seen at once)."""
    response = Response(text, mimetype=mimetype)
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(hashlib.sha256(text.encode()).hexdigest()[:32])
    response.make_conditional(request)
    return response
