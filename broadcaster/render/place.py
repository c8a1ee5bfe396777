"""Where a film is put: written under another name beside it, and renamed once it is whole."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from broadcaster.errors import RenderError
from broadcaster.render.order import check_place


@contextlib.contextmanager
def draft_of(out: Path, force: bool) -> Iterator[Path]:
    """A file to be written; it becomes ``out`` when the block ends well, and else is gone.

    Raises:
        RenderError: nothing can be written there.
        ConfigError: meanwhile a file of that name has come, which is not to be replaced.
    """
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        draft.touch()
        yield draft
        check_place(out, force)
        draft.replace(out)
    except OSError as error:
        raise RenderError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
