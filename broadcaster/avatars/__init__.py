"""Avatars: those that come with the station and those that are made here.

Beside the signal path: this room finds, makes, checks and removes folders. Nothing on air waits
for it.
"""
