"""A campaign as files: its tables in Parquet, a manifest, and what proves that they have every row."""
