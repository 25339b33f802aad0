"""Audio files, folders and pipes."""

from __future__ import annotations

from rtdenoise.files.folder import FolderReport, denoise_folder
from rtdenoise.files.pipe import PipeJob, denoise_pipe
from rtdenoise.files.report import FileReport
from rtdenoise.files.single import Progress, denoise_file
from rtdenoise.files.stdio import PipeFormat

__all__ = [
    "FileReport",
    "FolderReport",
    "PipeFormat",
    "PipeJob",
    "Progress",
    "denoise_file",
    "denoise_folder",
    "denoise_pipe",
]
