"""The contract as a document."""

from __future__ import annotations

import json
import re

from broadcaster.api.openapi import openapi_document


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document()
    text = json.dumps(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]


def test_every_error_is_a_problem() -> None:
    for item in openapi_document()["paths"].values():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if status >= "400" and "Readiness" not in json.dumps(answer):
                    assert list(answer["content"]) == ["application/problem+json"]
