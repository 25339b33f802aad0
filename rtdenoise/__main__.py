"""``python -m rtdenoise`` is ``rtdenoise``."""

from __future__ import annotations

from rtdenoise.cli import main

if __name__ == "__main__":
    main()
