"""Benchmarks: they report, and assert nothing."""
