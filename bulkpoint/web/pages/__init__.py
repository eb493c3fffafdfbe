"""One module a page: a function for each way to ask it, and its routes."""
