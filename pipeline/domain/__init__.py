"""Values and rules of a promotion: references, evidence, phases, traffic plans, policy, judgement.

No I/O, no clock, no client library: the standard library only. What reads a file, a socket or the
time belongs to ``pipeline.steps`` or ``pipeline.adapters``.
"""
