"""Archives: any number of files, from and to any place, over processes or a cluster, to be continued at any time."""

from __future__ import annotations

from rtdenoise.batch.job import BatchReport, Request, batch

__all__ = ["BatchReport", "Request", "batch"]
