"""What several component tests begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.channel_air import SLATE, Air


@pytest.fixture
def air() -> Iterator[Air]:
    made = Air(SLATE)
    yield made
    made.close()
