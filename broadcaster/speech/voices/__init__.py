"""Voices: text to sound and phoneme times, each behind the ``Voice`` seam.

``voice.py`` is the seam, ``espeak.py`` the voice that is always there. Must load no synthesizer
into the processes of the station: each runs in a process of its own.
"""
