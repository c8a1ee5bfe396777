"""Avatars: where they are and who draws them.

Beside the signal path: nothing on air waits for it.
"""
