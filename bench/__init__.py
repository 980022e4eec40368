"""Benchmarks that anyone can run; no test asserts a time."""
