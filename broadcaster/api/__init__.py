"""The HTTP door: Flask under gunicorn, a process that may be killed or flooded unnoticed on air.

It writes to the store and asks the playout; it must never hold anything that the air needs.
"""
