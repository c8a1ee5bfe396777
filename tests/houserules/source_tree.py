"""The station's sources as syntax trees, and the house rules as functions that list violations.

Each rule takes modules, so that a test can also feed it a made-up module that breaks the rule.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: dotted name, path from the top of the clone, syntax tree, text."""

    name: str
    path: str
    tree: ast.Module
    text: str

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")


def module(path: str, text: str) -> Module:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(name, path, ast.parse(text), text)


def modules(*folders: str) -> list[Module]:
    return [
        module(file.relative_to(REPO).as_posix(), file.read_text(encoding="utf-8"))
        for folder in folders
        for file in sorted((REPO / folder).rglob("*.py"))
    ]


def imports(source: Module) -> Iterator[str]:
    """Dotted names that a module imports, anywhere in it; relative ones made absolute."""
    package = source.name if source.is_package else source.name.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(each for each in (base, node.module) if each)
            # "from broadcaster import clock" imports a module; "from x import y" may.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


# --- the layers -----------------------------------------------------------------------------

VALUES, LOGIC, MECHANISM, COMPOSITION = range(4)

LAYERS: Mapping[str, int] = {
    **dict.fromkeys(
        ("formats", "settings", "errors", "condition", "paths", "redaction"), VALUES
    ),
    **dict.fromkeys(("mixer", "timeline", "backoff"), LOGIC),
    **dict.fromkeys(
        (
            "playout", "studio", "speech", "push", "store", "relay", "idle", "codec", "avatars",
            "wire", "heartbeat", "metrics", "logs", "processes", "notify", "clock",
            "access", "callbacks",
        ),
        MECHANISM,
    ),
    **dict.fromkeys(
        ("api", "preview", "presenter", "models", "render"),
        COMPOSITION,
    ),
    **dict.fromkeys(
        ("supervisor", "checks", "cli", "__main__"),
        COMPOSITION,
    ),
}  # fmt: skip


def _part(name: str) -> str | None:
    """``broadcaster.push.flv`` is of the part ``push``; None for other packages and our root."""
    pieces = name.split(".")
    return pieces[1] if pieces[0] == "broadcaster" and len(pieces) > 1 else None


def without_layer(sources: Iterable[Module]) -> list[str]:
    parts = {_part(source.name) for source in sources} - {None}
    return sorted(part for part in parts if part is not None and part not in LAYERS)


def upward_imports(sources: Iterable[Module]) -> list[str]:
    found = []
    for source in sources:
        own = LAYERS.get(_part(source.name) or "")
        for target in imports(source):
            other = LAYERS.get(_part(target) or "")
            if own is not None and other is not None and other > own:
                found.append(f"{source.path} imports {target}")
    return found


def import_cycles(sources: Iterable[Module]) -> list[str]:
    """Parts that import each other, directly or around corners."""
    edges: dict[str, set[str]] = {}
    for source in sources:
        own = _part(source.name)
        if own is not None:
            targets = {part for target in imports(source) if (part := _part(target)) in LAYERS}
            edges.setdefault(own, set()).update(part for part in targets if part and part != own)
    return sorted(start for start in edges if start in _reached(edges, edges[start]))


def _reached(edges: Mapping[str, set[str]], start: Iterable[str]) -> set[str]:
    pending, seen = list(start), set[str]()
    while pending:
        part = pending.pop()
        if part not in seen:
            seen.add(part)
            pending.extend(edges.get(part, ()))
    return seen


def imports_of(sources: Iterable[Module], packages: Iterable[str]) -> list[str]:
    """``path imports package`` for each import of one of the packages (top-level names)."""
    wanted = set(packages)
    return [
        f"{source.path} imports {target}"
        for source in sources
        for target in imports(source)
        if target.split(".")[0] in wanted
    ]


def needed_by(start: str, sources: Iterable[Module]) -> list[Module]:
    """The modules below ``start`` and every module of ours that they import, and so on."""
    by_name = {source.name: source for source in sources}
    pending = [name for name in by_name if name == start or name.startswith(f"{start}.")]
    seen = set[str]()
    while pending:
        name = pending.pop()
        if name in by_name and name not in seen:
            seen.add(name)
            for target in imports(by_name[name]):
                pending += [target, target.rpartition(".")[0]]
    return [by_name[name] for name in sorted(seen)]


# --- calls, flags, handlers -----------------------------------------------------------------

_WALL_CLOCK = {
    "time.time", "time.time_ns", "time.localtime", "time.gmtime",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.date.today",
}  # fmt: skip


def wall_clock_reads(sources: Iterable[Module]) -> list[str]:
    """Mentions, not only calls: a default such as ``clock=time.time`` reads it as well."""
    found = []
    for source in sources:
        found += [
            f"{source.path}:{node.lineno} {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node) in _WALL_CLOCK
        ]
        found += [f"{source.path} {name}" for name in imports(source) if name in _WALL_CLOCK]
    return found


_FFMPEG_FLAGS = {
    "-i", "-f", "-vf", "-af", "-map", "-vn", "-an", "-re", "-stream_loop", "-progress", "-nostdin",
    "-rw_timeout", "-filter_complex", "-movflags", "-flvflags", "-hide_banner",
}  # fmt: skip


def ffmpeg_flags(sources: Iterable[Module]) -> list[str]:
    """Places that spell FFmpeg arguments (``-c`` counts as one before ``copy`` or as ``-c:v``)."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                flag = node.value
                if flag in _FFMPEG_FLAGS or flag.startswith(("-c:", "-b:")):
                    found.append(f"{source.path}:{node.lineno} {flag}")
            elif isinstance(node, ast.List | ast.Tuple):
                words = [each.value for each in node.elts if isinstance(each, ast.Constant)]
                if ("-c", "copy") in itertools.pairwise(words):
                    found.append(f"{source.path}:{node.lineno} -c copy")
    return found


def broad_excepts(sources: Iterable[Module]) -> list[str]:
    """Paths of broad handlers, one per handler; one that only tidies up and re-raises is fine."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            handler = isinstance(node, ast.ExceptHandler) and _is_broad(node)
            if (handler and not _reraises(node)) or _suppresses_all(node):
                found.append(source.path)
    return found


def _suppresses_all(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("suppress"):
        return False
    return bool({"Exception", "BaseException"} & {ast.unparse(each) for each in node.args})


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in {"Exception", "BaseException"} for kind in kinds)


def _reraises(handler: ast.AST) -> bool:
    assert isinstance(handler, ast.ExceptHandler)
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


# --- size -----------------------------------------------------------------------------------


def long_functions(sources: Iterable[Module], limit: int) -> list[str]:
    """Functions of more lines than ``limit``, their docstring not counted."""
    found = []
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                first = node.body[0]
                if ast.get_docstring(node) is not None:
                    lines -= (first.end_lineno or 0) - first.lineno + 1
                if lines > limit:
                    found.append(f"{source.path} {node.name}: {lines} lines")
    return found
