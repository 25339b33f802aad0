"""What `rtdenoise doctor` says, in a process that may take its time."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

_SECONDS = 180.0  # the first use of a method compiles it


async def findings(method: str) -> list[dict[str, Any]]:
    """All findings of the doctor, those that need a remedy first; one that says so if it did not come to an end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rtdenoise", "doctor", "--json", "--seconds", "1", "--method", method),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _SECONDS)
        found: list[dict[str, Any]] = json.loads(out)
        return sorted(found, key=lambda finding: ["failed", "warning", "ok"].index(finding["state"]))
    except (asyncio.TimeoutError, ValueError, KeyError):
        remedy = "run `rtdenoise doctor` in a terminal"
        return [{"name": "doctor", "state": "failed", "found": "it did not come to an end", "remedy": remedy}]
    finally:
        if process.returncode is None:
            with suppress(OSError):
                process.kill()
            await process.wait()
