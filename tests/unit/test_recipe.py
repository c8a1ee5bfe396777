"""The recipe of the golden files' weights and inputs, against check sums of what made them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.oracles import recipe

CALLS = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "conformance" / "recipe.json").read_text()
)


@pytest.mark.parametrize(("function", "arguments", "crc32"), CALLS)
def test_the_recipe_gives_the_very_bytes(function: str, arguments: list[Any], crc32: int) -> None:
    made = getattr(recipe, function)(*arguments)
    assert zlib.crc32(made.tobytes()) == crc32
