"""Settings of a training run, read from YAML and validated up front."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rtdenoise.disk.shipped import data_folder
from rtdenoise.disk.yamltext import NotYamlError, load_yaml
from rtdenoise.errors import ConfigError
from rtdenoise.lab.data.mixtures import MixParams
from rtdenoise.lab.losses.terms import check_loss
from rtdenoise.methods.can.checks import require_keys, require_number, require_whole
from rtdenoise.methods.can.spec import CanSpec, spec_from_mapping
from rtdenoise.methods.can.specs import shipped_spec

RATE = 16000
"""In Hz: the only wideband rate for which PESQ and the perceptual losses are defined."""
OPTIMISERS = ("adamw", "muon")
_DTYPES = ("float32", "bfloat16")
_LEARNS = ("all", "beside")
_LEAST = {
    "workers": 0,
    "devices": 1,
    "batch_size": 1,
    "steps": 1,
    "warmup_steps": 0,
    "decay_from": 0,
    "decay_steps": 0,
    "lessons": 1,
    "seed": 0,
    "patience": 0,
    "validation_clips": 1,
}
_POSITIVE = ("crop_seconds", "learning_rate", "clip_norm", "checkpoint_seconds", "validation_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """All settings that determine the result of a run.

    Attributes
    ----------
    network : CanSpec
    loss : list of dict
        See `rtdenoise.lab.losses.terms.build_loss`.
    mixtures : MixParams
    data : str
        Folder of recordings, unless one is named on the command line.
    more : list of str
        Further ones to train on, in the same way.
    pairs : bool
        Train on noisy and clean files of equal names as they are (VoiceBank-DEMAND); `mixtures` is not used then.
    workers : int
        Processes that make mixtures; 0: a thread, enough for one processor.
    devices : int
        Processors of one kind the batch is divided among: GPUs, or logical CPUs where there are none.
    batch_size : int
    crop_seconds : float
        Length of one training pair.
    steps : int
        Where the run ends.
    optimiser : {"adamw", "muon"}
        Muon for the kernels, AdamW for the rest; or AdamW for all.
    learning_rate, weight_decay, clip_norm, ema : float
        The highest rate; global gradient norm; momentum of the averaged weights that are exported.
    warmup_steps : int
        Linear rise of the learning rate.
    decay_from, decay_steps : int
        Linear fall of the learning rate to a fiftieth, from this step on; 0 steps: constant to the end.
    compute_dtype : {"float32", "bfloat16"}
        Of the convolutions' inputs and kernels; float16 would need its loss scaled.  A network with bands computes
        in float32 whatever this says, but for the iteration of Muon.
    learns : {"all", "beside"}
        Which layers learn: all, or those over bands beside a dense stack alone, which stays as it was.
    teacher : str or dict
        A trained network over spectra, by name or folder; "": none.  What it makes of the mixtures is the target
        of a share of the batches, see `rtdenoise.lab.data.lessons`.  Or several and their weights,
        ``{can-live: 0.6, can-ultra: 0.4}``: a mean of what they make.
    taught : float
        That share, 0 to 1.
    lessons : int
        Number of different batches with a teacher: each is made once, cached (20 s: 1.3 MB), and used repeatedly.
    seed : int
    checkpoint_seconds, validate_seconds : float
        Wall-clock intervals.
    patience : int
        Validations without a better SI-SDR + 4 * PESQ after which the run stops; 0: never.
    validation_clips : int
    validation_seconds : float
        Size of the fixed validation set.
    """

    network: CanSpec
    loss: list[dict[str, Any]]
    mixtures: MixParams = field(default_factory=MixParams)
    data: str = ""
    more: list[str] = field(default_factory=list)
    pairs: bool = False
    workers: int = 0
    devices: int = 1
    batch_size: int = 8
    crop_seconds: float = 2.5
    steps: int = 100_000
    optimiser: str = "adamw"
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999
    warmup_steps: int = 500
    decay_from: int = 0
    decay_steps: int = 0
    compute_dtype: str = "float32"
    learns: str = "all"
    teacher: str | dict[str, float] = ""
    taught: float = 0.6
    lessons: int = 2500
    seed: int = 1
    checkpoint_seconds: float = 240.0
    validate_seconds: float = 900.0
    patience: int = 0
    validation_clips: int = 40
    validation_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            require_whole(name, getattr(self, name), least)
        for name in (f.name for f in fields(self) if f.type == "float"):
            require_number(name, getattr(self, name))
            if getattr(self, name) < 0 or (name in _POSITIVE and getattr(self, name) == 0):
                raise ConfigError(
                    f"{name}={getattr(self, name)} must {'be above 0' if name in _POSITIVE else 'not be negative'}"
                )
        if not isinstance(self.pairs, bool):
            raise ConfigError(f"pairs={self.pairs!r} must be true or false")
        if not isinstance(self.data, str):
            raise ConfigError(f"data={self.data!r} must be the name of a folder")
        if not isinstance(self.more, list) or not all(isinstance(name, str) for name in self.more):
            raise ConfigError(f"more={self.more!r} must be a list of folders, [rooms, voices]")
        if self.more and self.pairs:
            raise ConfigError("more adds recordings to be mixed; pairs: true trains on mixtures as they are")
        if self.optimiser not in OPTIMISERS:
            raise ConfigError(f"optimiser={self.optimiser!r} must be one of {', '.join(OPTIMISERS)}")
        self._check_lengths()
        if self.batch_size % self.devices:
            raise ConfigError(f"batch_size={self.batch_size} must be a multiple of devices={self.devices}")
        self._check_teacher()
        self._check_learns()
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema={self.ema} must be at least 0 and below 1")
        if self.compute_dtype not in _DTYPES:
            raise ConfigError(f"compute_dtype={self.compute_dtype!r} must be one of {', '.join(_DTYPES)}")

    def _check_learns(self) -> None:
        if self.learns not in _LEARNS:
            raise ConfigError(f"learns={self.learns!r} must be one of {', '.join(_LEARNS)}")
        if self.learns == "beside" and self.network.beside is None:
            raise ConfigError(f"learns=beside needs a network with layers beside a stack; {self.network.name} has none")

    def _check_teacher(self) -> None:
        if not isinstance(self.teacher, (str, dict)) or not all(isinstance(name, str) for name in self.teachers):
            raise ConfigError(
                f"teacher={self.teacher!r} must be the name or the folder of a model, or several of them with weights, "
                "{can-live: 0.6, can-ultra: 0.4}"
            )
        for name, weight in self.teachers.items():
            require_number(f"teacher.{name}", weight)
            if weight <= 0:
                raise ConfigError(f"teacher.{name}={weight} must be above 0")
        if self.teacher and self.pairs:
            raise ConfigError(f"teacher={self.teacher} works with mixtures only: remove it, or set pairs: false")
        if not 0.0 <= self.taught <= 1.0:
            raise ConfigError(f"taught={self.taught} must be between 0 and 1")

    def _check_lengths(self) -> None:
        rate = self.network.sample_rate
        if rate != RATE:
            raise ConfigError(f"network: sample_rate={rate} must be {RATE}: losses and validation hear wideband speech")
        needed = max(check_loss(self.loss), self.network.hop)
        if self.n_samples - self.network.latency_samples < needed:
            raise ConfigError(
                f"crop_seconds={self.crop_seconds} must be at least {needed / rate:.3g}: {needed} samples for its loss"
            )
        if self.validation_seconds * rate < self.network.hop:
            raise ConfigError(
                f"validation_seconds={self.validation_seconds} must be at least one hop, {self.network.hop / rate:g}"
            )

    @property
    def teachers(self) -> dict[str, float]:
        """Names or folders of those that teach, and their weights in the mean."""
        if isinstance(self.teacher, dict):
            return self.teacher
        return {self.teacher: 1.0} if self.teacher else {}

    @property
    def n_samples(self) -> int:
        """Samples of one training pair: whole hops, and the network's latency on top."""
        hop = self.network.hop
        hops = round(self.crop_seconds * self.network.sample_rate / hop)
        return hops * hop + self.network.latency_samples

    @property
    def audio_seconds_per_step(self) -> float:
        """Seconds of audio that one step trains on."""
        return self.batch_size * (self.n_samples - self.network.latency_samples) / self.network.sample_rate


def settings_from_mapping(values: dict[str, Any]) -> TrainSettings:
    """Settings from parsed YAML; ``network`` is the name of a shipped specification or a mapping.

    Raises
    ------
    ConfigError
        For unknown or missing keys and impossible values.
    """
    given = require_keys(values, [f.name for f in fields(TrainSettings)], "a training configuration")
    network = given.get("network")
    if isinstance(network, str):
        given["network"] = shipped_spec(network)
    elif isinstance(network, dict):
        given["network"] = spec_from_mapping(network)
    else:
        raise ConfigError("a training configuration needs network: a specification's name or a mapping")
    mixtures = require_keys(given.get("mixtures") or {}, list(MixParams.__dataclass_fields__), "mixtures")
    given["mixtures"] = MixParams(**mixtures)
    given["data"] = given.get("data") or ""
    given["more"] = given.get("more") or []
    if not given.get("loss"):
        raise ConfigError("a training configuration needs loss: a list of terms like {term: l1, weight: 1.0}")
    return TrainSettings(**given)


def load_settings(path: Path, changes: list[str] | None = None) -> TrainSettings:
    """Settings from a YAML file, overridden by ``key=value`` (or ``mixtures.key=value``, ``network.key=value``).

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML, or describes a run that cannot work.
    """
    return settings_from_mapping(read_configuration(path, changes))


def read_configuration(path: Path, changes: list[str] | None = None) -> dict[str, Any]:
    """The mapping in a YAML file, overridden by ``key=value`` changes; not validated yet.

    If there is no such file, `path` may name a configuration that ships with the package ("can-small",
    "configs/can-small.yaml").

    Raises
    ------
    ConfigError
        If the file is missing, is not YAML or not a mapping, or a change is malformed.
    """
    path = _found(path)
    try:
        values = load_yaml(path.read_text(encoding="utf-8"), str(path))
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from error
    except NotYamlError as error:
        raise ConfigError(f"{path}: not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a training configuration is a mapping of keys to values")
    for change in changes or []:
        _apply(change, values)
    return values


def _found(path: Path) -> Path:
    """`path`, or the shipped training configuration that it names."""
    if path.exists():
        return path
    configs = data_folder("configs")
    shipped = configs / f"{path.stem}.yaml"
    if path.parent in (Path(), Path("configs")) and path.suffix in ("", ".yaml") and shipped.is_file():
        return shipped
    names = sorted(p.stem for p in configs.glob("*.yaml") if "framing:" not in p.read_text(encoding="utf-8"))
    raise ConfigError(f"{path}: no such file; configurations that ship with rtdenoise are {', '.join(names)}")


def _apply(change: str, values: dict[str, Any]) -> None:
    """Set one value of a configuration; a network name is first expanded when one of its parts changes."""
    key, separator, text = change.partition("=")
    *parents, last = key.strip().split(".")
    if not separator or not all([*parents, last]):
        raise ConfigError(f"{change!r}: changes are written key=value")
    try:
        value = load_yaml(text, change)
    except ConfigError:
        raise
    except NotYamlError as error:
        raise ConfigError(f"{change!r}: {text!r} is not a value YAML can read") from error
    place = values
    for parent in parents:
        inner = place.get(parent)
        if parent == "network" and isinstance(inner, str):
            inner = asdict(shipped_spec(inner))
        if not isinstance(inner, (dict, type(None))):
            raise ConfigError(f"{change!r}: {parent} is {inner!r}, which has no keys")
        place[parent] = inner or {}
        place = place[parent]
    place[last] = value
