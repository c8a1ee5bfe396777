"""Wav2Lip, 96 and 256: lips drawn by the authors' network from the user's own weights.

An engine of the pool; needs torch (requirements/gpu.txt).
"""
