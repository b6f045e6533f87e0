"""Stateful stand-ins for the ports, shared by all tests; each passes its port's contract suite."""
