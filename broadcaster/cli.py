"""The ``broadcaster`` command: ``run`` becomes the supervisor, ``check`` looks and reports.

In front of the signal path. Everything but argparse is imported when it is needed, so that
``--help`` answers at once; it must never import a codec or the settings at the top.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from broadcaster import __version__
from broadcaster.access import command as access
from broadcaster.avatars import command as avatar
from broadcaster.callbacks import command as callbacks
from broadcaster.errors import BroadcasterError, ConfigError
from broadcaster.models import command as models
from broadcaster.presenter import command as presenter
from broadcaster.render import command as render

EXIT_CHECK_FAILED = 1
EXIT_REFUSED = 1
EXIT_INTERRUPTED = 130
EXIT_CANNOT_START = 2
"""The settings cannot be used or a port is taken; argparse uses 2 for bad arguments as well."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().parse_args(argv)
    commands: dict[str, Callable[[], int]] = {
        "run": lambda: _run(arguments.config),
        "check": lambda: _check(arguments.config, arguments.json),
        "presenter": lambda: _presenter(arguments),
        "token": lambda: _obey(lambda: access.run(arguments, _say, _complain)),
        "callbacks": lambda: _obey(lambda: callbacks.run(arguments, _say)),
        "render": lambda: render.run(arguments, _say, _complain),
        "avatar": lambda: _avatar(arguments),
        "models": lambda: _models(arguments),
    }
    return commands[arguments.command]()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="broadcaster",
        description="Keep a live broadcast of a talking presenter on air around the clock.",
    )
    parser.add_argument("--version", action="version", version=f"broadcaster {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="go on air, in the foreground, until SIGINT or SIGTERM")
    check = commands.add_parser("check", help="tell whether the station will work on this machine")
    for command in (run, check):
        command.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="settings (default: $BROADCASTER_CONFIG, then config/broadcaster.yaml)",
        )
    check.add_argument("--json", action="store_true", help="findings as one line of JSON")
    presenter.add_arguments(
        commands.add_parser("presenter", help="bake or preview the drawn presenters")
    )
    access.add_arguments(commands.add_parser("token", help="who may use the API, and for what"))
    callbacks.add_arguments(
        commands.add_parser("callbacks", help="the key that callbacks are signed with")
    )
    render.add_arguments(commands.add_parser("render", help="make a film of a speech, off air"))
    avatar.add_arguments(
        commands.add_parser("avatar", help="make avatars of pictures and clips, list, remove them")
    )
    models.add_arguments(
        commands.add_parser("models", help="tell which weights of the neural engines are there")
    )
    return parser


def _run(config: Path | None) -> int:
    from broadcaster.settings.load import load_settings  # noqa: PLC0415 (see the module's text)
    from broadcaster.supervisor.main import run_station  # noqa: PLC0415

    try:
        return run_station(load_settings(config))
    except ConfigError as error:
        for line in str(error).splitlines():
            _complain(line)
    except BroadcasterError as error:
        _complain(str(error))
    return EXIT_CANNOT_START


def _presenter(arguments: argparse.Namespace) -> int:
    return _obey(lambda: presenter.run(arguments, _say))


def _obey(command: Callable[[], None]) -> int:
    try:
        command()
    except ConfigError as error:
        _complain(str(error))
        return EXIT_CANNOT_START
    return 0


def _avatar(arguments: argparse.Namespace) -> int:
    try:
        avatar.run(arguments, _say)
    except ConfigError as error:
        for line in str(error).splitlines():
            _complain(line)
        return EXIT_CANNOT_START
    except (BroadcasterError, OSError) as error:
        _complain(str(error))
        return EXIT_REFUSED
    except KeyboardInterrupt:
        _complain("interrupted; nothing was kept")
        return EXIT_INTERRUPTED
    return 0


def _models(arguments: argparse.Namespace) -> int:
    try:
        return 0 if models.run(arguments, _say) else EXIT_CHECK_FAILED
    except ConfigError as error:
        _complain(str(error))
        return EXIT_CANNOT_START


def _complain(line: str) -> None:
    sys.stderr.write(f"broadcaster: {line}\n")


def _check(config: Path | None, as_one_json: bool) -> int:
    from broadcaster.checks.finding import as_json, as_text  # noqa: PLC0415
    from broadcaster.checks.station import check_station  # noqa: PLC0415

    findings = []
    for finding in check_station(config):
        findings.append(finding)
        if not as_one_json:
            _say(as_text([finding]))
    if as_one_json:
        _say(as_json(findings))
    failed = any(finding.level == "fail" for finding in findings)
    return EXIT_CHECK_FAILED if failed else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
