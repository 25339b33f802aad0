"""The calls of libsndfile that python-soundfile does not offer."""

from __future__ import annotations

import soundfile

from rtdenoise.typing import F32

_RF64_AUTO_DOWNGRADE = 0x1210  # sndfile.h: SFC_RF64_AUTO_DOWNGRADE


def read_into(sound: soundfile.SoundFile, out: F32) -> tuple[int, str]:
    """Read as many samples as come, and what ended it.

    `soundfile.SoundFile.read` seeks after each block, which fails at the end of a file of unknown length, and drops a
    block that is damaged at its end.

    Parameters
    ----------
    sound : SoundFile
    out : (n, channels) float32, written
        C-contiguous.

    Returns
    -------
    n : int
        Samples per channel written into `out`.
    error : str
        Empty if there was none.
    """
    data = soundfile._ffi.cast("float*", out.ctypes.data)
    n = int(soundfile._snd.sf_readf_float(sound._file, data, len(out)))
    code = soundfile._snd.sf_error(sound._file)
    if not code:
        return n, ""
    text = soundfile._ffi.string(soundfile._snd.sf_error_number(code)).decode(errors="replace")
    return n, text.removeprefix("Error : ").strip().rstrip(".")


def prefer_plain_wave(sound: soundfile.SoundFile) -> None:
    """Let an RF64 become a plain WAV when it is closed, if it is short enough."""
    if sound.format == "RF64":
        soundfile._snd.sf_command(sound._file, _RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)
