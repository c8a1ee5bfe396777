"""The pool of lip-sync workers, one process per device. It never imports ``broadcaster``."""
