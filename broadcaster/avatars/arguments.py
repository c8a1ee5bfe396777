"""What the verbs of ``broadcaster avatar`` take. Beside the signal path; needs argparse alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the verbs to the parser of the ``avatar`` command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    made = _making_verbs(verbs)
    every = verbs.add_parser("list", help="every avatar: those of the station and those made here")
    show = verbs.add_parser("show", help="all about one avatar")
    preview = verbs.add_parser("preview", help="a contact sheet of its mouth, drawn by its engine")
    preview.add_argument("--out", type=Path, required=True, help="a .png, .jpg or .webp file")
    prepare = verbs.add_parser("prepare", help="have its neural engine look at every picture now")
    remove = verbs.add_parser("remove", help="remove an avatar and its files")
    remove.add_argument("--force", action="store_true", help="even while a channel shows it")
    for verb in (show, preview, prepare, remove):
        verb.add_argument("name", metavar="NAME")
    for verb in (every, show):
        verb.add_argument("--json", action="store_true", help="as one line of JSON")
    for verb in (*made, every, show, preview, prepare, remove):
        verb.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="settings (default: $BROADCASTER_CONFIG, then config/broadcaster.yaml)",
        )


def _making_verbs(verbs: Verbs) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """``create`` and ``import``."""
    create = verbs.add_parser("create", help="make an avatar of a portrait picture or clip")
    create.add_argument("source", type=Path, metavar="FILE", help="JPEG, PNG, WebP, MP4, WebM, ...")
    create.add_argument("--name", help="what to call it (default: as the file)")
    create.add_argument(
        "--handles", type=Path, metavar="JSON", help="points of the face, set by hand"
    )
    create.add_argument(
        "--engine",
        default="photo",
        help="who draws it: photo (default), wav2lip, musetalk, latentsync",
    )
    create.add_argument("--replace", action="store_true", help="make a new version of one there is")
    bring = verbs.add_parser("import", help="take over an avatar folder of LiveTalking or any4dh")
    bring.add_argument("source", type=Path, metavar="DIR", help="with full_imgs and coords.pkl")
    bring.add_argument("--name", help="what to call it (default: as the folder)")
    bring.add_argument(
        "--engine", default="", help="who draws it (default: wav2lip or musetalk, as the folder is)"
    )
    bring.add_argument(
        "--fps", type=float, default=25.0, help="pictures a second of the folder (default: 25)"
    )
    bring.add_argument("--replace", action="store_true", help="make a new version of one there is")
    return create, bring
