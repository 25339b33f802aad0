"""Worker process: measures one case and prints one line of JSON (``python -m rtdenoise.bench.worker JSON``)."""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import Any

from rtdenoise.child.endings import end_with_pipe
from rtdenoise.errors import RtDenoiseError


def main() -> int:
    """Run the measurement described by the first argument."""
    job = json.loads(sys.argv[1])
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        end_with_pipe(0)
    answer_to = os.dup(1)
    os.dup2(2, 1)  # libraries that print then do so on stderr
    try:
        result = _work(job)
    except (RtDenoiseError, ImportError, MemoryError) as error:
        result = {"error": " ".join(str(error).split()) or type(error).__name__}
    with os.fdopen(answer_to, "w", encoding="utf-8") as answer:
        json.dump(result, answer)
    return 0


def _work(job: dict[str, Any]) -> dict[str, Any]:
    if job["kind"] == "many":
        from rtdenoise.bench.many import measure_many

        return measure_many(job["model"], tuple(job["batches"]), device=job["device"], seconds=job["seconds"])
    if job["kind"] == "gpu":
        from rtdenoise.bench.many import why_no_gpu

        reason = why_no_gpu()
        return {"error": reason} if reason else {}
    from rtdenoise.bench.cases import Case
    from rtdenoise.bench.measure import measure, startup_seconds

    if job["kind"] == "startup":
        return {"startup_seconds": startup_seconds(Case(**job["case"]), job["born"])}
    return measure(Case(**job["case"]), seconds=job["seconds"], born=job["born"], loaded=job["loaded"])


if __name__ == "__main__":
    sys.exit(main())
