"""Live audio from another program: start it, read one JSON object a second, say when samples are lost.

python examples/monitor.py 10 --method WF                # ten seconds, options of `rtdenoise live` after them
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(seconds: str, *options: str) -> int:
    command = [sys.executable, "-m", "rtdenoise", "live", "--json", "--every", "1", "--duration", seconds, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as live:
        assert live.stdout is not None
        for line in live.stdout:
            report = json.loads(line)
            used = report["budget_used_percent"].get("p99", 0.0)
            print(
                f"{report['state']}: {report['level_in_dbfs']} -> {report['level_out_dbfs']} dBFS, "
                f"{used} % of the time there is, {report['lost']} samples lost",
                flush=True,
            )
    return live.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
