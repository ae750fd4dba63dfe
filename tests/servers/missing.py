"""What happens to a test whose server is not installed."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["missing"]


def missing(server: str, remedy: str, *, excused: bool = False) -> NoReturn:
    """Skip a test for a reason that is printed; where a change is about to land (`CI=true`), let it fail.

    Args:
        server: What is missing.
        remedy: What is wrong, and what helps.
        excused: Skip it there as well: nothing that could be done there would help.
    """
    reason = f"NOT TESTED, {server} is missing: {remedy}"
    if os.environ.get("CI") == "true" and not excused:
        pytest.fail(reason)
    pytest.skip(reason)
