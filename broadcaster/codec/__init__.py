"""Codecs of the air: H.264 by libx264 and AAC-LC, in process through PyAV.

The rules that let pre-encoded and live packets follow one another without a mark are kept here;
nothing in this package paces, opens sockets or knows what a task is.
"""
