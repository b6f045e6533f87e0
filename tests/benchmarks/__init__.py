"""Benchmarks: each figure a ratio against its peer in the same run (``make bench``)."""
