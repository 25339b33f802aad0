"""Batch processing: any number of files, from and to any storage, over processes or a cluster, resumable."""

from __future__ import annotations

from rtdenoise.batch.job import BatchReport, Request, batch

__all__ = ["BatchReport", "Request", "batch"]
