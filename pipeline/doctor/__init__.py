"""Everything that would stop or slow down a promotion, looked at before one is asked for.

::

    finding.py      what was found: how bad, what, and what to do
    looks.py        one look after another; what breaks one of them is a finding, too
    mlflow.py       MLflow answers, its version, the aliases that are watched
    rights.py       what Laurel's MLflow account may, level by level
    artifacts.py    the files of the version that an alias names
    webhook.py      MLflow's webhook, end to end, and the settings of MLflow's owner
    clocks.py       everybody's clocks
    registry.py     push, mount, referrers, tags, delete
    keys.py         the signing key, and other secrets' files
    serving.py      where images go: each service's preflight, and its request counts
    ledger.py       schema, room, rights

Each module is about one neighbour and knows no other. Nothing is changed but what is said: a probe
in the registry and, where no webhook leads here, a switched-off one in MLflow, both removed.
"""
