"""Tests against a real Kubernetes with KServe, and what they share; README.md says how to use it.

:mod:`.stack` is the cluster itself. Here lie the tests and their tools: :mod:`.turns` (who may
disturb whom), :mod:`.traffic`, :mod:`.services`, :mod:`.obstacles` and :mod:`.people`.
"""
