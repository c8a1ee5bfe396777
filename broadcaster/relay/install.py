"""Finds nginx and its RTMP module on this machine, and prepares the relay's prefix.

Only reads what the system's packages installed; writes only below the relay's own prefix.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from broadcaster.errors import ConfigError
from broadcaster.relay.config import render_config
from broadcaster.settings.model import Relay

MODULE_NAME = "ngx_rtmp_module.so"
REMEDY = "apt install nginx libnginx-mod-rtmp"

_SBIN = "/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin"
"""Where Debian and source builds put nginx; not on the PATH of ordinary users."""

_MODULE_FOLDERS = (
    Path("/usr/lib/nginx/modules"),
    Path("/usr/lib64/nginx/modules"),
    Path("/usr/share/nginx/modules"),
    Path("/usr/local/lib/nginx/modules"),
    Path("/usr/local/nginx/modules"),
    Path("/etc/nginx/modules"),
)
_PACKAGE_LISTS = Path("/var/lib/dpkg/info")


@dataclass(frozen=True, slots=True)
class RelayInstall:
    """What the relay is started from."""

    nginx: Path
    module: Path


def find_nginx() -> Path | None:
    """The nginx program, or None."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")
    return Path(found) if found else None


def find_module(
    folders: Sequence[Path] = _MODULE_FOLDERS, package_lists: Path = _PACKAGE_LISTS
) -> Path | None:
    """The RTMP module: in a known folder, else where dpkg's file lists say; None when absent."""
    for folder in folders:
        if (folder / MODULE_NAME).is_file():
            return folder / MODULE_NAME
    for listing in sorted(package_lists.glob("libnginx-mod-rtmp*.list")):
        for line in listing.read_text().splitlines():
            if line.endswith("/" + MODULE_NAME) and Path(line).is_file():
                return Path(line)
    return None


def find_relay() -> RelayInstall:
    """Both parts.

    Raises:
        ConfigError: one is missing; the message says what to install.
    """
    nginx, module = find_nginx(), find_module()
    if nginx is None:
        raise ConfigError(f"nginx is not installed ({REMEDY})")
    if module is None:
        raise ConfigError(f"nginx has no RTMP module here ({REMEDY})")
    return RelayInstall(nginx, module)


def prepare_relay(relay: Relay, install: RelayInstall, prefix: Path) -> tuple[str, ...]:
    """Write the configuration below ``prefix`` and return the relay's command line.

    Raises:
        ConfigError: the settings do not fit the embedded relay.
        OSError: ``prefix`` cannot be written.
    """
    text = render_config(relay, install.module)
    (prefix / "temp").mkdir(mode=0o700, parents=True, exist_ok=True)
    config = prefix / "nginx.conf"
    config.write_text(text)
    return (str(install.nginx), "-p", f"{prefix}/", "-e", "stderr", "-c", str(config))
