"""The serving target that is this machine: model servers in sandboxes behind an Envoy.

::

    desired.py      what a service should serve, and how promotions change that; values only
    rootfs.py       images as folders, each layer unpacked once
    launch.py       a script: orphan, confine and exec one process
    processes.py    start through launch.py, find again after a crash, end
    server.py       how an image's model server is executed
    unix_http.py    how Laurel speaks with servers and with Envoy
    output.py       what servers print
    xds.py          Envoy's configuration as values
    front.py        the Envoy itself: start, swap files, read back what it really does
    supervisor.py   makes the machine look like what is desired

No promotion logic lives here: adapters translate the pipeline's ports to these.
"""
