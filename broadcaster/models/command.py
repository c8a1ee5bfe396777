"""The verb of ``broadcaster models``: ``check`` tells what weights a folder holds.

Beside the signal path. It only reads: no file is fetched, moved or executed, and torch is not
needed for it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broadcaster.errors import ConfigError

if TYPE_CHECKING:
    from gpu_pool.engines.checkpoint.survey import Found, Part, Survey

Say = Callable[[str], None]

ENGINES = ("wav2lip", "musetalk", "latentsync")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the verb to the parser of the ``models`` command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    check = verbs.add_parser("check", help="what weights of the neural engines a folder holds")
    check.add_argument("folder", type=Path, metavar="DIR", help="looked through, four levels deep")
    check.add_argument(
        "--engine", choices=ENGINES, help="fail unless this one has all it needs (default: none)"
    )
    check.add_argument("--json", action="store_true", help="the same as one line of JSON")


def run(arguments: argparse.Namespace, say: Say) -> bool:
    """Look and report.

    Returns:
        Whether no file was refused and the named engine has all it needs.

    Raises:
        ConfigError: the folder cannot be read.
    """
    from gpu_pool.engines.checkpoint.survey import survey  # noqa: PLC0415 (see the module's text)

    try:
        seen = survey(arguments.folder)
    except OSError as error:
        raise ConfigError(f"{arguments.folder}: {error.strerror}") from error
    if arguments.json:
        say(json.dumps(_as_json(seen)))
    else:
        for line in _as_text(seen):
            say(line)
    lacking = arguments.engine is not None and seen.missing(arguments.engine)
    return not seen.refused and not lacking


def _as_text(seen: Survey) -> Iterator[str]:
    from gpu_pool.engines.checkpoint.survey import PARTS  # noqa: PLC0415

    for file in seen.found:
        size = f"{file.size_bytes / 1e6:.1f} MB"
        yield f"ok    {file.path}: {file.variant.title} ({file.form}, {file.precision}, {size})"
        yield f"      sha256 {file.sha256}"
    for other in seen.refused:
        yield f"fail  {other.path}: {other.reason}"
    for engine, parts in PARTS.items():
        missing = seen.missing(engine)
        yield f"{engine}: {'lacks ' + _titles(missing) if missing else 'has all it needs'}"
        for part in parts:
            if not seen.for_part(part):
                yield from _wanted(part)


def _titles(parts: tuple[Part, ...]) -> str:
    return ", ".join(part.title for part in parts)


def _wanted(part: Part) -> Iterator[str]:
    yield f"  {part.title}{' (optional)' if part.optional else ''}: {' or '.join(part.names)}"
    yield f"    from {part.published}"
    yield f"    licence: {part.licence}"


def _as_json(seen: Survey) -> dict[str, Any]:
    from gpu_pool.engines.checkpoint.survey import PARTS  # noqa: PLC0415

    return {
        "folder": str(seen.folder),
        "found": [_file(each) for each in seen.found],
        "refused": [{"path": str(each.path), "reason": each.reason} for each in seen.refused],
        "engines": {
            engine: {
                "ready": not seen.missing(engine),
                "missing": [
                    {
                        **{"part": part.title, "optional": part.optional},
                        **{"names": list(part.names), "published": part.published},
                        "licence": part.licence,
                    }
                    for part in parts
                    if not seen.for_part(part)
                ],
            }
            for engine, parts in PARTS.items()
        },
    }


def _file(file: Found) -> dict[str, Any]:
    return {
        **{"path": str(file.path), "variant": file.variant.name, "form": file.form},
        **{"precision": file.precision, "size_bytes": file.size_bytes, "sha256": file.sha256},
    }
