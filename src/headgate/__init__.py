"""headgate: an API gateway for event streams."""

__version__ = "0.1.0"
