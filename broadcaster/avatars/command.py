"""The verbs of ``broadcaster avatar``: create, import, list, show, preview, prepare, remove.

Beside the signal path. What a verb needs is imported when it runs, so that ``--help`` answers at
once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broadcaster.avatars.arguments import add_arguments
from broadcaster.errors import AvatarConflict, AvatarError, AvatarNotFound

if TYPE_CHECKING:
    from broadcaster.avatars.catalogue import Catalogue, Entry
    from broadcaster.avatars.shelf import Shelf
    from broadcaster.avatars.usage import Usage
    from broadcaster.paths import StatePaths
    from broadcaster.settings.model import SettingsModel

__all__ = ["add_arguments", "run"]

Say = Callable[[str], None]

BAR_CHARACTERS = 30
ASK_TIMEOUT_S = 0.5
HANDLES_BYTES = 16 * 1024


def run(arguments: argparse.Namespace, say: Say) -> None:
    """Do what the arguments ask for.

    Raises:
        ConfigError: the settings cannot be used.
        AvatarError: the avatar cannot be made, found or removed.
        StoreFull: no space is left.
    """
    from broadcaster.paths import StatePaths  # noqa: PLC0415 (see the module's text)
    from broadcaster.settings.load import load_settings  # noqa: PLC0415

    settings = load_settings(arguments.config)
    verb = {
        "create": _create,
        "import": _import,
        "list": _list,
        "show": _show,
        "preview": _preview,
        "prepare": _prepare,
        "remove": _remove,
    }[arguments.verb]
    verb(arguments, settings, StatePaths(settings.station.state_dir), say)


def _create(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    from broadcaster.avatars.making import Order, make_avatar, making_settings  # noqa: PLC0415
    from broadcaster.avatars.shelf import Shelf  # noqa: PLC0415

    source: Path = arguments.source
    if not source.is_file():
        raise AvatarError(f"{source}: no such file")
    shelf = Shelf(paths.avatars)
    name = _new_name(arguments, source.name, shelf)
    handles = _read_handles(arguments.handles) if arguments.handles else None
    over = None if arguments.replace else False
    order = Order(name, source.absolute(), arguments.engine, source.name, handles, over)
    paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _progress() as progress:
        make_avatar(shelf, order, making_settings(settings), progress)
    _say_made(name, settings, paths, say)


def _import(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    from broadcaster.avatars.making import Order, import_avatar, making_settings  # noqa: PLC0415
    from broadcaster.avatars.shelf import Shelf  # noqa: PLC0415

    source: Path = arguments.source.absolute()
    if not source.is_dir():
        kind = "it is no folder; unpack an archive first" if source.exists() else "no such folder"
        raise AvatarError(f"{arguments.source}: {kind}")
    shelf = Shelf(paths.avatars)
    name = _new_name(arguments, f"{source.name}.", shelf)
    over = None if arguments.replace else False
    order = Order(name, source, arguments.engine, source.name, over=over)
    paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _progress() as progress:
        import_avatar(shelf, order, arguments.fps, making_settings(settings), progress)
    _say_made(name, settings, paths, say)


def _list(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    rows = _journal_rows(settings, paths)
    entries = _catalogue(settings, paths).entries(rows)
    if arguments.json:
        say(json.dumps({"avatars": [_told(each, settings) for each in entries]}))
        return
    for each in entries:
        say(_line(each))


def _show(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    told = _told(_entry(arguments.name, settings, paths), settings)
    if arguments.json:
        say(json.dumps(told))
        return
    for key, value in told.items():
        if value not in (None, [], ""):
            say(f"{key:<11} {_plain(value)}")


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{point} {x:g},{y:g}" for point, (x, y) in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _preview(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    from broadcaster.avatars.limited import run_child  # noqa: PLC0415
    from broadcaster.avatars.making import making_settings  # noqa: PLC0415

    out: Path = arguments.out.absolute()
    if out.suffix not in {".png", ".jpg", ".webp"}:
        raise AvatarError(f"{out}: the name has to end with .png, .jpg or .webp")
    if not out.parent.is_dir():
        raise AvatarError(f"{out.parent}: no such folder")
    entry = _entry(arguments.name, settings, paths)
    if not entry.usable:
        raise AvatarError(entry.error or f"the avatar {entry.name} is not ready yet")
    files = str(entry.folder / "files") if entry.folder else ""
    job = {"op": "sheet", "engine": entry.engine, "files": files, "name": entry.name}
    told = run_child({**job, "out": str(out)}, making_settings(settings).limits)
    width, height = told["facts"][0]
    say(f"{arguments.out}: {width}x{height}")


def _prepare(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    from broadcaster.avatars.shelf import find  # noqa: PLC0415
    from broadcaster.avatars.worked_out import work_out  # noqa: PLC0415

    name = arguments.name
    with _progress() as progress:
        formats = list(work_out(find(name, settings.station.state_dir), settings, progress))
    for picture, pictures, before in formats:
        size = f"{picture.width}x{picture.height} at {picture.fps} fps"
        say(f"{name}: {size}: {pictures} pictures, {before} of them done before")


def _remove(
    arguments: argparse.Namespace, settings: SettingsModel, paths: StatePaths, say: Say
) -> None:
    from broadcaster.avatars.found import find_bundled  # noqa: PLC0415
    from broadcaster.avatars.shelf import Shelf  # noqa: PLC0415
    from broadcaster.avatars.usage import named_by  # noqa: PLC0415

    name, shelf = arguments.name, Shelf(paths.avatars)
    if find_bundled(name) is not None:
        raise AvatarConflict(f"the avatar {name} comes with the station")
    if named := named_by(settings, name):
        raise AvatarConflict(f"the settings give the avatar {name} to {', '.join(named)}")
    using = _usage(settings, paths).unnamed(name)
    if using and not arguments.force:
        raise AvatarConflict(
            f"the avatar {name} is on air or wished on {', '.join(using)}; --force removes it"
        )
    rowed = _forget_row(settings, paths, name)
    if shelf.versions(name):
        shelf.remove(name)
    elif not rowed:
        raise AvatarNotFound(f"no avatar is called {name!r}")
    say(f"{name}: removed")


# --- what the verbs share --------------------------------------------------------------------


def _new_name(arguments: argparse.Namespace, file_name: str, shelf: Shelf) -> str:
    """The name that was asked for, or one made of the file's."""
    from broadcaster.avatars.found import free_name, name_fault, name_from  # noqa: PLC0415

    made = free_name(name_from(file_name), lambda name: bool(name_fault(name)))
    name: str = arguments.name or made
    if fault := name_fault(name):
        raise AvatarError(f"{fault}; choose another with --name")
    if shelf.versions(name) and not arguments.replace:
        raise AvatarConflict(f"there is an avatar {name} already; --replace makes a new version")
    return name


def _say_made(name: str, settings: SettingsModel, paths: StatePaths, say: Say) -> None:
    entry = _entry(name, settings, paths)
    say(_line(entry))
    for warning in entry.warnings:
        say(f"  note: {warning}")


def _catalogue(settings: SettingsModel, paths: StatePaths) -> Catalogue:
    from broadcaster.avatars.catalogue import Catalogue  # noqa: PLC0415
    from broadcaster.avatars.making import making_settings  # noqa: PLC0415
    from broadcaster.avatars.shelf import Shelf  # noqa: PLC0415

    return Catalogue(Shelf(paths.avatars), making_settings(settings).limits)


def _entry(name: str, settings: SettingsModel, paths: StatePaths) -> Entry:
    rows = {row.name: row for row in _journal_rows(settings, paths)}
    found = _catalogue(settings, paths).entry(name, rows.get(name))
    if found is None:
        raise AvatarNotFound(f"no avatar is called {name!r}; broadcaster avatar list tells which")
    return found


def _usage(settings: SettingsModel, paths: StatePaths) -> Usage:
    """What the running station shows, and what was wished on it."""
    from broadcaster.avatars.usage import Usage  # noqa: PLC0415
    from broadcaster.store.channel_avatars import ChannelAvatars  # noqa: PLC0415
    from broadcaster.wire import ask  # noqa: PLC0415

    playout: dict[str, Any] | None = None
    with contextlib.suppress(OSError, ValueError):
        playout = ask(paths.playout_socket, {"op": "status"}, ASK_TIMEOUT_S)
    if not paths.database.is_file():
        return Usage(settings, playout)
    with contextlib.closing(ChannelAvatars(paths.database)) as wishes:
        return Usage(settings, playout, wishes.all())


def _journal_rows(settings: SettingsModel, paths: StatePaths) -> list[Any]:
    """What the station is making; nothing where it has never run."""
    from broadcaster.store.avatars import AvatarJournal  # noqa: PLC0415

    if not paths.database.is_file():
        return []
    with contextlib.closing(AvatarJournal(paths.database, settings.avatars.queue_limit)) as journal:
        return list(journal.all())


def _forget_row(settings: SettingsModel, paths: StatePaths, name: str) -> bool:
    from broadcaster.store.avatars import AvatarJournal  # noqa: PLC0415

    if not paths.database.is_file():
        return False
    with contextlib.closing(AvatarJournal(paths.database, settings.avatars.queue_limit)) as journal:
        try:
            journal.forget(name)
        except AvatarNotFound:
            return False
    return True


def _read_handles(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > HANDLES_BYTES:
            raise AvatarError(f"{file}: too large for handles")
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise AvatarError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AvatarError(f"{file}: not JSON") from error
    if not isinstance(found, dict):
        raise AvatarError(f"{file}: an object of points is needed")
    return found


def _line(entry: Entry) -> str:
    size = f"{entry.width}x{entry.height}" if entry.width else "any size"
    what = f"{entry.kind or 'unknown':<8} {size:<10} {entry.engine:<10} {entry.state.value}"
    tail = f" {100 * entry.progress:.0f} %" if entry.state == "making" else ""
    return f"{entry.name:<16} {what}{tail}" + (f": {entry.error}" if entry.error else "")


def _told(entry: Entry, settings: SettingsModel) -> dict[str, Any]:
    from broadcaster.avatars.usage import named_by  # noqa: PLC0415

    return {
        "name": entry.name,
        "kind": entry.kind or None,
        "engine": entry.engine or None,
        "bundled": entry.is_bundled,
        "state": entry.state.value,
        "version": entry.version or None,
        "progress": entry.progress,
        "error": entry.error or None,
        "warnings": list(entry.warnings),
        "file_name": entry.source_name or None,
        "width": entry.width or None,
        "height": entry.height or None,
        "size_bytes": entry.size_bytes,
        "handles": {name: list(point) for name, point in entry.handles.items()} or None,
        "folder": str(entry.folder) if entry.folder else None,
        "channels": named_by(settings, entry.name),
    }


@contextlib.contextmanager
def _progress() -> Any:  # noqa: ANN401
    """A bar on a terminal, a line per step elsewhere; both on standard error."""
    terminal = sys.stderr.isatty()
    told = ""

    def show(done: float, step: str) -> bool:
        nonlocal told
        if terminal:
            full = round(BAR_CHARACTERS * done)
            bar = "#" * full + "." * (BAR_CHARACTERS - full)
            sys.stderr.write(f"\r[{bar}] {100 * done:3.0f} % {step[:40]:<40}")
        elif (plain := step.rstrip("0123456789 ")) != told:
            told = plain
            sys.stderr.write(f"{told}\n")
        sys.stderr.flush()
        return True

    try:
        yield show
    finally:
        if terminal:
            sys.stderr.write("\r" + " " * (BAR_CHARACTERS + 50) + "\r")
            sys.stderr.flush()
