"""The job: the driver's course of a run, and what one partition does in an executor."""
