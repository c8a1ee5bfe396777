"""Where a film is put: written under another name beside it, and renamed once it is whole.

Around the render. Whatever happens in between, neither the draft nor the scratch folder stays.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
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
        with _blamed_on(out):
            draft.touch()
        yield draft
        check_place(out, force)
        with _blamed_on(out):
            draft.replace(out)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for the decoded sound, in ``$TMPDIR``; gone with everything in it afterwards.

    Raises:
        RenderError: there is no place for one.
    """
    with contextlib.ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(prefix="broadcaster-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
        except OSError as error:
            raise RenderError(f"no temporary folder: {error.strerror}") from error
        yield folder


@contextlib.contextmanager
def _blamed_on(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RenderError(f"{out}: cannot be written: {error.strerror}") from error
