"""What ``broadcaster check`` looks at, one module per kind of thing.

Beside the signal path: it looks and reports, and must never change the station or its state.
"""
