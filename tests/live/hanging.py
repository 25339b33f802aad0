"""A question that is never answered: writes the number of its process into a file and waits."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rtdenoise.child.questions import answer


def wait_forever() -> None:
    Path(sys.argv[1]).write_text(str(os.getpid()), encoding="ascii")
    time.sleep(120.0)


if __name__ == "__main__":
    answer(wait_forever)
