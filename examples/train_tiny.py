"""Train a tiny network, export it, and denoise with it: the whole way, in a minute.

    python examples/train_tiny.py recordings tiny             # a folder with speech/ and noise/
    python examples/train_tiny.py recordings tiny 2000        # more steps: a network that is of some use

Needs `pip install 'rtdenoise[tf]'`.  models/README.md says what each setting does and how the shipped networks were
made.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONFIGURATION = """\
network: {name: tiny, domain: spectral, channels: 16, dilations: [1, 2, 4], residual: true, mask: magnitude}
loss:
  - {term: compressed_stft, frame: 512, hop: 256, complex_share: 0.3}
batch_size: 2
crop_seconds: 1.0
warmup_steps: 5
validation_clips: 2
validation_seconds: 1.0
"""


def rtdenoise(*arguments: str | Path) -> None:
    """Run a command of rtdenoise; it says itself what is wrong."""
    code = subprocess.run([sys.executable, "-m", "rtdenoise", *map(str, arguments)], check=False).returncode
    if code:
        sys.exit(code)


def main(data: Path, folder: Path, steps: str = "20") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    configuration, run, model = folder / "tiny.yaml", folder / "run", folder / "model"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    rtdenoise("train", configuration, "--data", data, "--run", run, "--set", f"steps={steps}", "--restart")
    rtdenoise("export", run / "best.npz", configuration, model)
    # TensorFlow is loaded sooner than code is compiled for a new network, which the default engine does once.
    rtdenoise("demo", "--model", model, "--engine", "tf", "--output", folder / "demo", "--overwrite")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
