"""The verbs of ``broadcaster presenter``: ``bake`` draws the atlases anew, ``preview`` shows one.

Beside the signal path. What a verb needs is imported when it runs: the bake needs packages that a
station does not have.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import idle_media
from broadcaster.errors import ConfigError

Say = Callable[[str], None]

ORIENTATIONS = ("landscape", "portrait")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe both verbs to the parser of the ``presenter`` command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    bake = verbs.add_parser(
        "bake", help="draw the atlases anew (development; needs requirements/art.txt)"
    )
    bake.add_argument("names", nargs="*", metavar="NAME", help="presenters (default: all)")
    bake.add_argument(
        "--orientation", choices=ORIENTATIONS, action="append", help="only this one (default: both)"
    )
    bake.add_argument(
        "--folder", type=Path, help="where to write (default: the idle_media that is in use)"
    )
    preview = verbs.add_parser("preview", help="a contact sheet of mouths, eyes and poses")
    preview.add_argument("--presenter", metavar="NAME", help="whose (default: the first)")
    preview.add_argument("--out", type=Path, required=True, help="a .png, .jpg or .webp file")


def run(arguments: argparse.Namespace, say: Say) -> None:
    """Do what the arguments ask for.

    Raises:
        ConfigError: an unknown presenter, a missing package, a file that cannot be written.
    """
    if arguments.verb == "bake":
        _bake(arguments.names, arguments.orientation or ORIENTATIONS, arguments.folder, say)
    else:
        _preview(arguments.presenter or idle_media.DEFAULT, arguments.out, say)


def _bake(names: list[str], orientations: Sequence[str], folder: Path | None, say: Say) -> None:
    try:
        from idle_media.art import layout  # noqa: PLC0415 (see the module's text)
        from idle_media.art.bake import bake  # noqa: PLC0415
        from idle_media.art.palette import LOOKS  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"baking needs {error.name}: pip install -r requirements/art.txt"
        ) from error
    looks = {look.name: look for look in LOOKS}
    unknown = sorted(set(names) - set(looks))
    if unknown:
        raise ConfigError(
            f"no presenter is called {', '.join(unknown)}; there are {', '.join(looks)}"
        )
    target = folder or Path(idle_media.__file__).parent
    for name in names or looks:
        for comp in (layout.LANDSCAPE, layout.PORTRAIT):
            if comp.name in orientations:
                atlas, _ = bake(looks[name], comp, target / name)
                say(f"{atlas}: {atlas.stat().st_size / 1000:.0f} kB")


def _preview(name: str, out: Path, say: Say) -> None:
    from broadcaster.avatars.contact_sheet import draw_sheet  # noqa: PLC0415
    from broadcaster.avatars.pictures import write_picture  # noqa: PLC0415 (slow)

    try:
        picture = draw_sheet(name)
    except (KeyError, ValueError) as error:
        raise ConfigError(str(error.args[0])) from error
    try:
        write_picture(out, picture)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{out}: {error}") from error
    say(f"{out}: {picture.shape[1]}x{picture.shape[0]}")
