"""Trains the sound-to-mouth network on speech that synthesizers make: ``python -m`` this package.

texts -> espeak, recorded -> corpus -> augment -> model, train -> export -> evaluate.
"""
