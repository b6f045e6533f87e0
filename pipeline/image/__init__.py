"""The OCI image as bytes: deterministic layers, configuration, manifests, referrers, unpacking.

No network, no registry, no subprocess.
"""
