"""The verbs of ``broadcaster token``: ``create`` prints a token once, ``list``, ``revoke``.

Beside the signal path. A running station follows without a restart.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

Say = Callable[[str], None]

ROLES = ("viewer", "speaker", "operator")
"""As ``Role``, which is not imported for ``--help``; a test compares them."""

_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LENGTH = re.compile(r"^([1-9][0-9]{0,4})([mhdw])$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the verbs to the parser of the ``token`` command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    create = verbs.add_parser("create", help="make a token and print it, once")
    create.add_argument("--role", choices=ROLES, required=True, help="what it allows")
    create.add_argument("--name", help="what it is called (default: the role and a number)")
    create.add_argument(
        "--expires", type=length_s, metavar="TIME", help="such as 12h, 30d, 8w (default: never)"
    )
    verbs.add_parser("list", help="the tokens, without their secrets")
    revoke = verbs.add_parser("revoke", help="take a token away; in force within a second")
    revoke.add_argument("name", metavar="NAME")
    for verb in verbs.choices.values():
        verb.add_argument("--config", type=Path, metavar="FILE", help="settings, as for run")


def run(arguments: argparse.Namespace, say: Say, remark: Say) -> None:
    """Do what the arguments ask for; ``remark`` is for people, ``say`` for what is asked for.

    Raises:
        ConfigError: the settings or the file cannot be used, or the name does not fit.
    """
    from broadcaster.access.role import Role  # noqa: PLC0415 (see the module's text)
    from broadcaster.access.tokens import TokenFile  # noqa: PLC0415
    from broadcaster.clock import wall_time_s  # noqa: PLC0415
    from broadcaster.paths import StatePaths  # noqa: PLC0415
    from broadcaster.settings.load import load_settings  # noqa: PLC0415

    file = TokenFile(StatePaths(load_settings(arguments.config).station.state_dir).tokens)
    if arguments.verb == "create":
        taken = {token.name for token in file.read()}
        name = arguments.name or _free_name(arguments.role, taken)
        say(file.create(Role(arguments.role), name, wall_time_s(), arguments.expires))
        remark(f"token {name} was made; it is not shown again")
    elif arguments.verb == "revoke":
        file.revoke(arguments.name)
        remark(f"token {arguments.name} was revoked")
    else:
        for token in file.read():
            until = "for ever" if token.expires_s is None else f"until {_shown(token.expires_s)}"
            over = " (expired)" if token.expired(wall_time_s()) else ""
            say(f"{token.name:<24} {token.role:<9} since {_shown(token.created_s)} {until}{over}")


def length_s(text: str) -> float:
    """``30d`` as seconds.

    Raises:
        argparse.ArgumentTypeError: it is no length of time.
    """
    found = _LENGTH.match(text)
    if found is None:
        raise argparse.ArgumentTypeError("a number of minutes, hours, days or weeks, such as 30d")
    return float(int(found[1]) * _UNITS_S[found[2]])


def _free_name(role: str, taken: set[str]) -> str:
    number = 1
    while f"{role}-{number}" in taken:
        number += 1
    return f"{role}-{number}"


def _shown(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
