"""What a fresh machine needs: an embedded PostgreSQL and the demo."""
