"""The lip-sync engines, each in a package of its own that is imported only by who uses it."""
