"""The parent of every role: starts, watches, restarts and stops them; reports to systemd."""
