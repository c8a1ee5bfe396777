"""``broadcaster callbacks secret``: prints the key that receivers check signatures with.

Beside the signal path; the one place that shows it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the verb to the parser of the ``callbacks`` command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    secret = verbs.add_parser("secret", help="print the key that callbacks are signed with")
    secret.add_argument("--config", type=Path, metavar="FILE", help="settings, as for run")


def run(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Do what the arguments ask for.

    Raises:
        ConfigError: the settings or the file cannot be used.
    """
    from broadcaster.callbacks.secret import signing_secret  # noqa: PLC0415 (slow)
    from broadcaster.paths import StatePaths  # noqa: PLC0415
    from broadcaster.settings.load import load_settings  # noqa: PLC0415

    settings = load_settings(arguments.config)
    say(signing_secret(settings, StatePaths(settings.station.state_dir)))
