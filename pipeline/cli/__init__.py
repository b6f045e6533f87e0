"""The command line ``laurel``: parse, call, print. Verbs that promote go over HTTP, as others' do.

::

    asked.py      what the options of every verb were set to; settings and server found by them
    exits.py      how a command ends: the one place that turns errors into exit codes
    output.py     a result on stdout, as JSON or as a table; everything else on stderr
    client.py     the server's HTTP API
    tables.py     what the API says, for people; history_tables.py, of a history
    audit.py      a history verified on the reader's side
    follow.py     a promotion until it ends
    token_file.py the operator's own token
    new_files.py  the files that `laurel init` writes
    <verbs>.py    init · up serve … · promote … · status list · build … gc · verify keys …

No other module of Laurel may import this package. Only click is imported at the top here: every
verb imports what it needs when it is called, so that ``laurel --help`` is at once there.
"""

import click

from pipeline.cli.approve import approve
from pipeline.cli.backup import backup, restore
from pipeline.cli.decide import abort, hold, promote, release, retry, rollback
from pipeline.cli.demo import demo
from pipeline.cli.doctor import doctor
from pipeline.cli.exits import Laurel
from pipeline.cli.gc import gc
from pipeline.cli.history import history
from pipeline.cli.images import build, copy, inspect
from pipeline.cli.init import init
from pipeline.cli.notify import notify
from pipeline.cli.plan import plan
from pipeline.cli.read import list_promotions, status
from pipeline.cli.run import down, serve, up, worker
from pipeline.cli.steer import complete, pause, resume
from pipeline.cli.tell import migrate, schema, steps
from pipeline.cli.token import token
from pipeline.cli.trust import keys, verify
from pipeline.cli.watch import watch
from pipeline.cli.webhook import webhook

__all__ = ["main"]


@click.group(cls=Laurel, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="laurel", prog_name="laurel")
def main() -> None:
    """Promote MLflow model versions: signed images, rolled out as measured canaries.

    Results are on stdout, everything else on stderr. Exit codes: 0 done, 1 refused, failed or
    rolled back, 2 usage or configuration, 3 errored.
    """


for _verb in (
    *(init, up, serve, worker, down, demo),
    *(plan, promote, rollback, status, list_promotions, watch, history),
    *(approve, pause, resume, complete),
    *(abort, retry, hold, release),
    *(build, inspect, copy, gc),
    *(doctor, verify, keys, token, webhook, notify, steps, schema, migrate),
    *(backup, restore),
):
    main.add_command(_verb)
