"""The target ``kserve``: an InferenceService in Knative mode, whose canary Knative splits.

::

    cluster.py    the one door to the API server: raw JSON in and out, our errors, watches, a count
    login.py      kubeconfigs, service accounts, login programs, proxies: the client library's door
    api_server.py one request: timed, bounded, counted; api_errors.py what a refusal means
    watching.py   following one object through whatever breaks
    resources.py  the kinds that are read and written
    observed.py   what their objects have alike: conditions, a split
    inference.py  an InferenceService as a value: what it says, what was observed, what Laurel wrote
    patches.py    from one such value to the next: JSON patches with guards, pure
    spec.py       a Plan as the fields of an InferenceService that Laurel owns
    pods.py       what a revision's pods say of themselves: their last words
    starting.py   waiting until a revision can take traffic, by one watch over many calls
    preflight.py  rights, CRDs, mode: what would stop a promotion, found before it changes anything
"""
