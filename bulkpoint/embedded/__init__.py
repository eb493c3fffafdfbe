"""PostgreSQL and Kafka for a machine that has none."""
