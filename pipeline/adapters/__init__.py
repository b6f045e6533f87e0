"""``<tool>_<role>.py``: translate between a port and a tool, decide nothing.

Only ``pipeline.wiring`` imports these; they do not know each other.
"""
