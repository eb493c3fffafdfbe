"""The money API: what a request looks like, and how it is sent."""
