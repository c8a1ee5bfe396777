"""Shared fixtures; helpers live in tests/doubles and tests/oracles."""
