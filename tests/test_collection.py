"""Tests can be collected, and says what it leaves out, where libraries of the sound system are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

WITHOUT_LIBRARIES = '''
import ctypes, ctypes.util, shutil, sys

class Missing:
    """What Python's own bindings raise where the shared library is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name == "jack":
            raise OSError("JACK library not found")
        if name == "sounddevice":
            raise OSError("PortAudio library not found")

sys.meta_path.insert(0, Missing())
load, which = ctypes.CDLL.__init__, shutil.which

def refuse(self, name, *arguments, **options):
    if name and any(library in str(name) for library in ("jack", "portaudio", "speexdsp")):
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")
    load(self, name, *arguments, **options)

ctypes.CDLL.__init__ = refuse
shutil.which = lambda name, *more, **options: None if "jack" in name else which(name, *more, **options)
'''


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "without_libraries.py").write_text(WITHOUT_LIBRARIES)
    environment = {name: value for name, value in os.environ.items() if name != "RTDENOISE_REQUIRE_CARD"}
    environment |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), **variables}
    command = [sys.executable, "-m", "pytest", "-p", "without_libraries", "-p", "no:cacheprovider", "-q", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_tests_of_audio_are_collected_without_jack_portaudio_and_speex(tmp_path):
    done = run(tmp_path, "--collect-only", "tests/live", "tests/virtual_card", "tests/evaluate/test_peers.py")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "tests/live/test_returning.py::" in done.stdout and "tests/live/test_abandoned.py::" in done.stdout


def test_what_needs_a_sound_card_is_skipped_with_a_reason_and_fails_where_it_is_required(tmp_path):
    one = "tests/live/test_exactness.py"
    skipped = run(tmp_path, "-rs", "-x", one)
    assert skipped.returncode == 0 and "jackd is not installed (tests/virtual_card/install)" in skipped.stdout
    required = run(tmp_path, "-x", one, RTDENOISE_REQUIRE_CARD="1")
    assert required.returncode == 1 and "RTDENOISE_REQUIRE_CARD is set, but jackd is not installed" in required.stdout
