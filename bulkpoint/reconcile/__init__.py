"""Settling payments that may have been credited: by look-up at the money API, or by its own settlement file."""
