"""The studio: takes accepted tasks in order, prepares their sound, has the playout say them.

May die at any moment: the channel goes on with idle, and a new studio goes on from the store.
Must never touch a tick.
"""
