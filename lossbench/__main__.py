"""``python -m lossbench`` is ``lossbench``."""

from lossbench.cli import main

main()
