"""``python -m medseg`` is the command ``medseg``."""

from medseg.cli.main import main

main()
