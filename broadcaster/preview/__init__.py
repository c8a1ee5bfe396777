"""The browser preview: pulls each channel from the relay and hands it to viewers by WebRTC (WHEP).

Behind the signal path, in a process of its own that may die at any time: it reads what the relay
gives to anybody, and must never be asked for anything by what is on air.
"""
