"""A real Kubernetes with Knative Serving, KServe and Kourier on one small machine, for tests.

Every process is a program of this machine, built from the published Go modules; nothing is
installed. All of them live in one network and mount namespace of their own, and in one control
group: what they listen on, mount and configure is not this machine's, and goes with them.

====================== =========================================================================
:mod:`.versions`       every version
:mod:`.units`          what is built, and from what; :mod:`.binaries` builds it
:mod:`.manifests`      upstream's YAML, with our settings
:mod:`.place`          names and addresses: several clusters can stand beside each other
:mod:`.parts`          processes: start, look, stop, kill, start again
:mod:`.apart`          the namespaces, and the network in them
:mod:`.control_plane`  etcd and API server (tier A); the only tier that needs no root
:mod:`.node`           containerd, kubelet and their like
:mod:`.knative`        Knative Serving, Kourier and Envoy, KServe, Prometheus
:mod:`.whole`          all of it, up and down
====================== =========================================================================

What tests share lies one floor up, in ``tests/cluster``.
"""
