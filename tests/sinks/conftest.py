"""Fixtures for the tests of sinks."""

from tests.sources.files.conftest import public

__all__ = ["public"]
