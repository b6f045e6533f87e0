"""``python -m pipeline`` is ``laurel``."""

from pipeline.cli import main

main(prog_name="laurel")
