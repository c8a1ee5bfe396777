"""Settings: the values (``model``), their sources (``load``) and platform limits (``platforms``).

Kept empty so that a role that only reads values pays for nothing else.
"""
