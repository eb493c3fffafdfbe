"""The job: how the driver executes a run, and what one partition does in an executor."""
