"""Tokens as the station keeps them: a name, a role, an end, and the SHA-256 of the secret.

The file belongs to ``broadcaster token``; the API reads it again whenever it has changed. A token
is 256 random bits, so a plain hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from broadcaster.access.role import Role
from broadcaster.errors import ConfigError

PREFIX = "bct_"
"""Lets people and secret scanners recognise a token."""

_SECRET_BYTES = 32

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_HASH = re.compile(r"^[0-9a-f]{64}$")

TOKENS_AT_MOST = 1000
"""Every request is compared with every token, so that its time tells nothing: 0.16 ms for these."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; times are wall seconds since 1970, ``expires_s`` None for one that lasts."""

    name: str
    role: Role
    sha256: str
    created_s: float
    expires_s: float | None = None

    def expired(self, now_s: float) -> bool:
        """Whether its time is over."""
        return self.expires_s is not None and now_s >= self.expires_s


class Presented(StrEnum):
    """What a secret turned out to be."""

    VALID = "valid"
    UNKNOWN = "unknown"
    EXPIRED = "expired"


class TokenFile:
    """The file; changes are atomic, and one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Token, ...]:
        """All tokens; none when there is no file.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            return tuple(_parsed(self._path.read_bytes()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ConfigError(f"{self._path}: is damaged; delete it and make new tokens") from None

    def create(self, role: Role, name: str, now_s: float, lasts_s: float | None = None) -> str:
        """Add a token.

        Args:
            role: what it allows.
            name: what it is called in lists and logs.
            now_s: wall time.
            lasts_s: None for ever.

        Returns:
            The secret, which is nowhere else.

        Raises:
            ConfigError: the name is taken or no name, or the file cannot be written.
        """
        if not _NAME.match(name):
            raise ConfigError("a token's name has 1 to 64 letters, digits, dots, - and _")
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        expires_s = None if lasts_s is None else now_s + lasts_s
        with self._changing() as tokens:
            if any(each.name == name for each in tokens):
                raise ConfigError(f"there is a token {name} already; revoke it first")
            if len(tokens) >= TOKENS_AT_MOST:
                raise ConfigError(f"there are {TOKENS_AT_MOST} tokens already; revoke some")
            tokens.append(Token(name, role, hashed(secret), now_s, expires_s))
        return secret

    def revoke(self, name: str) -> None:
        """Take a token away.

        Raises:
            ConfigError: there is none of this name, or the file cannot be written.
        """
        with self._changing() as tokens:
            left = [each for each in tokens if each.name != name]
            if len(left) == len(tokens):
                raise ConfigError(f"there is no token {name}")
            tokens[:] = left

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens as a list that is written back, unless the block raises."""
        folder = self._path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                give_to_owner_of(folder, lock.fileno())
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = list(self.read())
                yield tokens
                document = {"tokens": [asdict(each) for each in tokens]}
                write_private(self._path, json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be written: {error.strerror}") from None


class TokenBook:
    """The tokens as the API knows them: read again whenever the file is another one."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, TokenFile(path)
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()
        self.last_error = ""

    def find(self, secret: str, now_s: float) -> tuple[Presented, Token | None]:
        """What a secret is; its time does not depend on which token it is, or on whether."""
        wanted = hashed(secret)
        found: Token | None = None
        for each in self._current():
            if hmac.compare_digest(each.sha256, wanted):
                found = each
        if found is None:
            return Presented.UNKNOWN, None
        return (Presented.EXPIRED if found.expired(now_s) else Presented.VALID), found

    def _current(self) -> tuple[Token, ...]:
        signature = _signature(self._path)
        with self._lock:
            if signature != self._seen:
                # A file that cannot be read lets nobody in: guessing would.
                self._tokens, self.last_error = (), ""
                try:
                    self._tokens = self._file.read()
                except ConfigError as error:
                    self.last_error = str(error)
                self._seen = signature
            return self._tokens


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def write_private(path: Path, text: str) -> None:
    """Write a file that only the station's user may read, atomically and to the disk.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        give_to_owner_of(path.parent, handle)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def give_to_owner_of(folder: Path, handle: int) -> None:
    """Root may write for a station that runs as somebody else, who must be able to read it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def _parsed(data: bytes) -> Iterable[Token]:
    for entry in json.loads(data)["tokens"]:
        expires = entry["expires_s"]
        token = Token(
            name=str(entry["name"]),
            role=Role(entry["role"]),
            sha256=str(entry["sha256"]),
            created_s=float(entry["created_s"]),
            expires_s=None if expires is None else float(expires),
        )
        if not _HASH.match(token.sha256):
            raise ValueError
        yield token
