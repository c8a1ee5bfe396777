"""``broadcaster check`` tells whether viewers can be served."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster.checks.preview import check_preview
from broadcaster.settings.model import SettingsModel

FOREIGN = "203.0.113.9"
"""From the block for documentation (RFC 5737): on no machine."""


def level(**sections: Any) -> str:
    (found,) = check_preview(SettingsModel.model_validate(sections))
    return found.level


def test_the_default_is_fine() -> None:
    assert level() == "ok"


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(["127.0.0.1"], "ok"), ([FOREIGN], "fail"), (["127.0.0.1", FOREIGN], "warn")],
)
def test_an_address_of_another_machine_cannot_be_offered(
    addresses: list[str], expected: str
) -> None:
    assert level(preview={"ice_addresses": addresses}) == expected


def test_no_preview_is_no_fault() -> None:
    assert level(preview={"enabled": False}) == "ok"
    assert level(relay={"mode": "none"}) == "ok"
