"""What leaves the system: outbox, relay, messages."""
