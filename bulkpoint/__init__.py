"""bulkpoint pays points to a million members and more, each once, through a rate-limited money API."""

__version__ = "0.1.0"
