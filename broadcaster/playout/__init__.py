"""Playout: the process that must never stop. Clock, mixer, encoders, pushes; no models, no HTTP."""
