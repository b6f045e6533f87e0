"""``laurel demo``: the whole product on this machine, watched from outside.

::

    transactions.py    the world that training and traffic draw from
    models.py          a child process, the only one that imports MLflow: trains, registers, moves
    data_scientist.py  how that child is spoken with
    mlflow_server.py   MLflow's own server
    installation.py    a folder with laurel.yaml and secrets; ``laurel up``; reading its HTTP API
    processes.py       child processes, none left behind
    traffic.py         clients that ask all the while, and what each answer was
    story.py           the four chapters
    observed.py        what was seen, as values
    claims.py          what may be said of it
    report.py          the table and the claims
    narrator.py        what is told while it goes on
    stage.py           puts it all together, and takes it down

The demo is a user of Laurel: it may not reach into the pipeline for what it claims.
"""


def run(*, keep: bool, json: bool) -> int:
    """Run the demo; 0 if everything that it claims was seen to happen, else 1."""
    # Not at the top: the child that imports MLflow shall start without all the rest.
    from pipeline.demo.stage import run as run_on_stage  # noqa: PLC0415 - see above

    return run_on_stage(keep=keep, as_json=json)
