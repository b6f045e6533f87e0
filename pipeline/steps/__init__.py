"""One verb per file: evidence in, evidence out, safe to repeat.

A step's keyword-only parameters are its permission list: it touches those neighbours and no other.
No client library, no settings and no ledger here.
"""
