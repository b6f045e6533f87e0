"""The environment of children whose coverage is worth nothing: they only take longer with it.

Nothing of Laurel runs in them, or they are killed, and what was measured goes with them.
"""

import os


def unmeasured() -> dict[str, str]:
    """Copy our environment without what coverage put there for children."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
