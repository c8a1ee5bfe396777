"""The embedded relay's configuration, as a pure function of the settings.

Place in the signal path: push -> **relay** -> readers (preview, tests, ``ffplay``). The relay
listens on loopback only and keeps every file in its own prefix; it must never read or write the
configuration, logs or folders of an nginx of the system.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from broadcaster.errors import ConfigError
from broadcaster.settings.model import Relay

APPLICATION = "live"
"""RTMP application of every channel: ``rtmp://HOST:PORT/live/<channel>``."""

_CONNECTIONS = 256
"""Publishers, readers and health questions together; one connection costs nginx about 1 KiB."""

_OUT_QUEUE = 1024
"""Messages held per reader before it loses some: 14 s of a 25 fps programme with sound."""

_TEMPLATE = """\
# Written at every start; edits are lost.
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
rtmp_auto_push off;
rtmp {{
    access_log off;
    max_message 10M;
    out_queue {out_queue};
    server {{
        listen {host}:{port};
        chunk_size 4096;
        application {application} {{
            live on;
            record off;
            wait_key on;
            wait_video on;
            idle_streams off;
            publish_notify off;
            drop_idle_publisher 10s;
            allow publish 127.0.0.0/8;
            deny publish all;
            allow play 127.0.0.0/8;
            deny play all;
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    server {{
        listen 127.0.0.1:{stat_port};
        location = /stat {{ rtmp_stat all; }}
        location /control {{ rtmp_control all; }}
    }}
}}
"""


def render_config(relay: Relay, module: Path) -> str:
    """The text of ``nginx.conf``.

    Args:
        relay: ports and address; the address must be an IPv4 loopback address.
        module: the RTMP module, as ``find_module`` gave it.

    Raises:
        ConfigError: ``relay.host`` is not loopback.
    """
    return _TEMPLATE.format(
        module=module,
        connections=_CONNECTIONS,
        out_queue=_OUT_QUEUE,
        host=_loopback(relay.host),
        port=relay.port,
        application=APPLICATION,
        stat_port=relay.stat_port,
    )


def stat_url(relay: Relay) -> str:
    """Where the relay's health page is, or "" when there is none (no relay, or none was named)."""
    if relay.mode == "embedded":
        return f"http://127.0.0.1:{relay.stat_port}/stat"
    return relay.stat_url if relay.mode == "external" else ""


def channel_url(relay: Relay, channel: str) -> str:
    """The RTMP address of a channel on the relay, or "" without a relay."""
    if relay.mode == "embedded":
        return f"rtmp://{relay.host}:{relay.port}/{APPLICATION}/{channel}"
    return f"{relay.url.rstrip('/')}/{channel}" if relay.mode == "external" else ""


def _loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ConfigError(
            f"relay.host {host}: the embedded relay listens on an IPv4 loopback address only; "
            "use relay.mode external for a relay that others can reach"
        )
    return host
