"""The operator's page: the same use cases, views and statements as the command line, as pages a browser shows."""
