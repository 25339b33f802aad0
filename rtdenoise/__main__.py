"""Entry point for ``python -m rtdenoise``, the same program as ``rtdenoise``."""

from __future__ import annotations

from rtdenoise.cli import main

if __name__ == "__main__":
    main()
