"""The HTTP face: receive, check, record, show.

It writes ledger rows and answers; it never builds, never deploys, and never asks MLflow anything.
"""
