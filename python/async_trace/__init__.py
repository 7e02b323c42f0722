"""The traceback for async code."""

__version__ = "0.2.0"
