"""The guard before every route: who asks, how often, from which web page, and whether they may.

It runs before a body is read, so that what is refused costs no thread's patience. Must never log
or answer with a token, and never believe ``X-Forwarded-*``: anybody can write these.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask, Request, Response, current_app, g, request

from broadcaster.access.origin import SAFE_METHODS, known_host, may_change
from broadcaster.access.rates import RateLimit, address_group
from broadcaster.access.role import Role, is_loopback, tokens_needed
from broadcaster.access.tokens import Presented, TokenBook
from broadcaster.api.problems import Refusal, problem
from broadcaster.clock import Clock, wall_time_s
from broadcaster.logs import OncePerSecond
from broadcaster.metrics import ACCESS_REFUSED, RATE_LIMITED
from broadcaster.paths import StatePaths
from broadcaster.settings.model import SettingsModel

EXTENSION = "broadcaster.guard"
"""Where the application keeps its ``Guard``."""

HEALTH = "/healthz"
"""Asked by the supervisor and by load balancers: needs nothing and is never counted."""

PAGE = "page"
"""The blueprint of the page's own files, which are the same for everybody; they need no token."""

SPEAK = "/generate_video"

NEEDED_TO_CHANGE: Mapping[tuple[str, str], Role] = {
    ("POST", "/whep/<channel>"): Role.VIEWER,
    ("DELETE", "/whep/<channel>/<session>"): Role.VIEWER,
    ("POST", SPEAK): Role.SPEAKER,
    ("DELETE", "/tasks/<task_id>"): Role.SPEAKER,
}
"""What changes something and is not named here is for operators; looking is for viewers."""

_CORS_METHODS = "GET, POST, PUT, DELETE"
_CORS_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer"
_CORS_SHOWN = "Location, Retry-After, Idempotency-Replayed, Preference-Applied"
_CORS_KEPT_S = "600"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token's name, or the address of somebody without one."""

    name: str
    role: Role
    has_token: bool
    still_valid: Callable[[], bool]
    """Whether a stream that has begun may go on."""


class Unauthorised(Refusal):
    """401: there is no token that counts."""

    def __init__(self, why: str, challenge: str) -> None:
        super().__init__(401, why)
        self.challenge = challenge


class Guard:
    """One for all threads of the API."""

    def __init__(self, settings: SettingsModel, paths: StatePaths, clock: Clock) -> None:
        api = settings.api
        self._needed = tokens_needed(api)
        self._book = TokenBook(paths.tokens)
        self._clock = clock
        self._names = frozenset(api.hosts)
        self._own_hosts = self._names | {api.host.lower()}
        self._origins = frozenset(api.cors_origins)
        self._requests = RateLimit(api.rate_per_minute)
        self._speaking = RateLimit(api.speak_per_minute)
        self._lock = threading.Lock()
        self._complaints = OncePerSecond(log.warning)

    def admit(self) -> Response | None:
        """Let the present request pass, answer it, or refuse it.

        Raises:
            Refusal: 401, 403 or 429.
        """
        rule = request.url_rule.rule if request.url_rule is not None else ""
        if rule == HEALTH:
            return None
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return self._preflight()
        if request.blueprint == PAGE:
            self._check_rate(Caller(_address(request), Role.VIEWER, False, lambda: True), rule)
            return None
        g.caller = self._caller()
        self._check_rate(g.caller, rule)
        if not g.caller.has_token:
            self._check_page()
        if not g.caller.role.may_act_as(needed_role(request, rule)):
            self._refuse("role", Refusal(403, _forbidden(g.caller, needed_role(request, rule))))
        return None

    def require(self, role: Role, what: str) -> None:
        """Refuse the present caller a part of a request.

        Raises:
            Refusal: 403.
        """
        if not g.caller.role.may_act_as(role):
            self._refuse("role", Refusal(403, f"{what} needs a token of the role {role}."))

    def finish(self, response: Response) -> Response:
        """Let web pages of the named origins read the answer."""
        origin = request.headers.get("Origin")
        if self._origins:
            response.headers.add("Vary", "Origin")
        if origin in self._origins:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _CORS_SHOWN
        return response

    # --- who -----------------------------------------------------------------------------------

    def _caller(self) -> Caller:
        """Who asks.

        Raises:
            Unauthorised: a token is needed, or one that does not count was shown.
        """
        secret = _bearer(request)
        if secret is None:
            if self._needed:
                self._count_refused("missing")
                raise Unauthorised("A token is needed.", 'Bearer realm="broadcaster"')
            return Caller(_address(request), Role.OPERATOR, False, lambda: True)
        presented, token = self._book.find(secret, wall_time_s())
        if presented is Presented.VALID and token is not None:
            return Caller(f"token {token.name}", token.role, True, lambda: self._valid(secret))
        if not self._needed:  # a page keeps its token when the station wants none any more
            return Caller(_address(request), Role.OPERATOR, False, lambda: True)
        self._count_refused(presented.value)
        why = "has expired" if presented is Presented.EXPIRED else "is not known"
        challenge = f'Bearer realm="broadcaster", error="invalid_token", error_description="{why}"'
        raise Unauthorised(f"The token {why}.", challenge)

    def _valid(self, secret: str) -> bool:
        return self._book.find(secret, wall_time_s())[0] is Presented.VALID

    # --- how often -----------------------------------------------------------------------------

    def _check_rate(self, caller: Caller, rule: str) -> None:
        """Count the request.

        Without tokens this machine is not counted: its programs share one address, and one of them
        must not lock out the page.
        """
        if not caller.has_token and not self._needed and is_loopback(request.remote_addr or ""):
            return
        self._count("requests", self._requests, caller.name)
        if rule == SPEAK and request.method == "POST":
            self._count("speak", self._speaking, caller.name)

    def _count(self, kind: str, limit: RateLimit, caller: str) -> None:
        with self._lock:
            wait_s = limit.wait_s(caller, self._clock.now())
        if wait_s:
            RATE_LIMITED.labels(kind).inc()
            raise Refusal(429, f"Too many requests from {caller}.", wait_s)

    def _count_refused(self, reason: str) -> None:
        """Refused for want of a token: counted per address, also against guessing."""
        if self._book.last_error:
            log.error("nobody is let in: %s", self._book.last_error)
        self._note(reason)
        self._count("requests", self._requests, _address(request))

    # --- from where ----------------------------------------------------------------------------

    def _check_page(self) -> None:
        """Nobody showed a token: then no web page from elsewhere may be behind it.

        Raises:
            Refusal: 403.
        """
        host, origin, site = map(request.headers.get, ("Host", "Origin", "Sec-Fetch-Site"))
        if not known_host(host, self._own_hosts):
            why = "The name in the address is not known; it may be added to api.hosts."
            self._refuse("host", Refusal(403, why))
        changes = request.method not in SAFE_METHODS
        if changes and not may_change(origin, site, host, self._names):
            why = "A web page from elsewhere may not do this without a token."
            self._refuse("origin", Refusal(403, why))

    def _preflight(self) -> Response:
        """A browser asks whether a page may ask; no token comes with that."""
        response = Response(status=204)
        if request.headers.get("Origin") in self._origins:
            response.headers["Access-Control-Allow-Methods"] = _CORS_METHODS
            response.headers["Access-Control-Allow-Headers"] = _CORS_HEADERS
            response.headers["Access-Control-Max-Age"] = _CORS_KEPT_S
        return response

    def _refuse(self, reason: str, refusal: Refusal) -> None:
        self._note(reason)
        raise refusal

    def _note(self, reason: str) -> None:
        """One line a second at most, with nothing in it that the caller could have chosen."""
        ACCESS_REFUSED.labels(reason).inc()
        where = request.url_rule.rule if request.url_rule is not None else "an unknown path"
        with self._lock:
            self._complaints.add(
                f"refused {request.method} {where} from {request.remote_addr}: {reason}",
                self._clock.now(),
            )


def install_guard(app: Flask, guard: Guard) -> None:
    """Put the guard before every route of the application."""
    app.extensions[EXTENSION] = guard
    app.before_request(guard.admit)
    app.after_request(guard.finish)

    @app.errorhandler(Unauthorised)
    def _unauthorised(error: Unauthorised) -> Response:
        response = problem(error.status, str(error))
        response.headers["WWW-Authenticate"] = error.challenge
        return response


def guard() -> Guard:
    """The guard of the application that serves the current request."""
    found: Guard = current_app.extensions[EXTENSION]
    return found


def needed_role(asked: Request, rule: str) -> Role:
    """The least role for a request."""
    if asked.method in SAFE_METHODS or not rule:
        return Role.VIEWER
    return NEEDED_TO_CHANGE.get((asked.method, rule), Role.OPERATOR)


def _bearer(asked: Request) -> str | None:
    """The secret of ``Authorization: Bearer``; None where there is none."""
    scheme, _, secret = asked.headers.get("Authorization", "").partition(" ")
    secret = secret.strip()
    return secret if scheme.lower() == "bearer" and secret else None


def _address(asked: Request) -> str:
    return f"address {address_group(asked.remote_addr or 'unknown')}"


def _forbidden(caller: Caller, needed: Role) -> str:
    return f"This needs a token of the role {needed}; yours is of the role {caller.role}."
