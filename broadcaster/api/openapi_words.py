"""The words the HTTP contract is written in: schemas, answers and refusals, as OpenAPI has them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
NUMBER_OR_NULL: Schema = {"type": ["number", "null"]}


def object_(properties: Schema, required: list[str] | None = None) -> Schema:
    """An object; all of its properties are required unless told otherwise."""
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def list_(items: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(description: str, schema: str, media: str = "application/json") -> Schema:
    """A response whose body has this schema."""
    return {"description": description, "content": {media: {"schema": ref(schema)}}}


def problems(**described: str) -> Schema:
    """Refusals by status, ``s404="why"``."""
    return {
        status.removeprefix("s"): answer(text, "Problem", "application/problem+json")
        for status, text in described.items()
    }


def get(summary: str, schema: str, *parameters: Schema, **refused: str) -> Schema:
    """An operation that answers 200 with this schema, or a refusal."""
    return {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {"200": answer(summary, schema), **problems(**refused)},
    }


def other(summary: str, media: str) -> Schema:
    """An operation that answers 200 with something that is not JSON."""
    content = {media: {"schema": TEXT}}
    return {"summary": summary, "responses": {"200": {"description": summary, "content": content}}}
