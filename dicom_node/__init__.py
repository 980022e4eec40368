"""The bone-age node: receive, store, queue, assess, report, send."""

__version__ = "0.1.0"
