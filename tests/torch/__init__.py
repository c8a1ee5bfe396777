"""Tests that need torch: `make test` runs them in a venv of their own (`.venv-torch`)."""
