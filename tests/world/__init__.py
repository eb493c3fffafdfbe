"""The world that tests and bench live in: campaigns, shares, the command line, a deployment, the sandbox, waiting."""
