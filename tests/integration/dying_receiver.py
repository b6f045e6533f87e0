"""``laurel`` that is killed, as by ``kill -9``, at ``POINT`` of its first rollback or approval.

``dying_receiver.py held|accepted|answered|told|approved|never VERB …``: before the transaction that
holds the service and accepts the rollback has ended, after it, or once the answer is stored but not
sent; before the transaction of an approval has ended, or after it.
"""

import os
import signal
import sys
from typing import Any
from unittest.mock import patch

from pipeline import cli
from pipeline.ledger import admissions, answers, rollbacks
from pipeline.ledger.promotions import accept_within
from pipeline.ledger.story import tell_approved

_give, _approve = answers.Answers.give, admissions.Admissions.approve


def main(point: str, *arguments: str) -> None:
    def die_at(here: str) -> None:
        if here == point:
            os.killpg(0, signal.SIGKILL)

    def accept(*args: Any) -> Any:  # noqa: ANN401 - stands for accept_within
        accepted = accept_within(*args)
        die_at("held")
        return accepted

    def give(*args: Any) -> None:  # noqa: ANN401 - stands for Answers.give
        die_at("accepted")
        _give(*args)
        die_at("answered")

    def tell(*args: Any) -> None:  # noqa: ANN401 - stands for tell_approved
        tell_approved(*args)
        die_at("told")

    def approve(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - stands for Admissions.approve
        approved = _approve(*args, **kwargs)
        die_at("approved")
        return approved

    with (
        patch.object(rollbacks, accept_within.__name__, accept),
        patch.object(admissions, tell_approved.__name__, tell),
        patch.object(admissions.Admissions, "approve", approve),
        patch.object(answers.Answers, "give", give),
    ):
        sys.argv[1:] = arguments
        cli.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
