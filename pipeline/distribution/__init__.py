"""The client's side of OCI distribution: how images get to a registry and back.

https://github.com/opencontainers/distribution-spec, written for what registries really do. It knows
HTTP and bytes; which image is wanted, and why, is decided elsewhere.
"""
