"""Use cases: what people ask of campaigns and of the limit, each with its right, its check, its event and audit row."""
