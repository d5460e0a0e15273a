"""``python -m sciencegen``."""

from .cli import main

main()
