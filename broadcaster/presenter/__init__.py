"""``broadcaster presenter``: bakes the drawn presenters and shows what they can do.

Beside the signal path; nothing on air imports it.
"""
