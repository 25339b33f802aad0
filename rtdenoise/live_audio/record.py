"""The record and ring buffers shared by the audio thread, the engine process and the supervising session."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rtdenoise.typing import F32

if TYPE_CHECKING:
    from rtdenoise.live_audio.messages import Built

CHANNELS_MAX = 8
BINS_PER_OCTAVE = 16
HISTOGRAM_FLOOR_NS = 500
HISTOGRAM_BINS = 24 * BINS_PER_OCTAVE  # 0.5 us to 8 s
RINGS = ("noisy", "wet", "answers", "clean", "source")
"""`noisy`: the input; `wet`: output of the compiled hop; `answers`: output of an engine process; `clean`: what is
played; `source`: samples fed from a file."""

FLAGS = ("input_underflow", "input_overflow", "output_underflow", "output_overflow", "priming_output")
"""PortAudio's status bits, lowest first."""

NO_TONE = 9.0
"""Value of the field ``howl_spared`` that cannot occur for a tone."""

RUNNING, STOPPING, FINISHED = range(3)
"""Values of the field ``phase``."""


class Field(NamedTuple):
    """A field of the record `LIVE`.

    Writers and readers are letters.  A: the audio process, before the stream begins, when a network joins, and to end
    it; C: the audio
    callbacks, compiled, in threads of PortAudio; E: the engine process; S: the session, with all that follows it.
    """

    name: str
    kind: str
    """Of numpy."""
    unit: str
    writers: str
    readers: str
    n: int = 0
    """Length of an array; 0: a single value."""


# Every position is a sample number p of the stream, counted from the first callback.  Noisy sample p is the input; wet
# sample q is the compiled hop's q-th output; clean sample p plays ``wet[p - wait]``, and the time-aligned dry signal is
# ``noisy[p - wait - latency]``.  An engine process has a separate, parallel path with `engine_wait` and
# `engine_latency`; `share` is the weight of that path in the output.
_SET_UP = [
    Field("rate", "f8", "Hz", "A", "ACES"),
    Field("noisy", "i8", "address", "A", "C"),  # addresses of the rings, each (capacity, channels) float32
    Field("wet_ring", "i8", "address", "A", "C"),
    Field("answers", "i8", "address", "A", "C"),
    Field("clean", "i8", "address", "A", "C"),
    Field("source", "i8", "address", "A", "C"),
    Field("capacity", "i8", "samples", "A", "CS"),  # samples per ring, a multiple of `hop`
    Field("channels", "i8", "channels", "A", "ACES"),  # processed
    Field("channels_in", "i8", "channels", "A", "CS"),  # of the device; 0: the input is the source ring
    Field("channels_out", "i8", "channels", "A", "C"),  # of the device; 0: the output is the clean ring alone
    Field("hop", "i8", "samples", "A", "CES"),
    Field("latency", "i8", "samples", "A", "CS"),  # of the method
    Field("wake_fd", "i8", "descriptor", "A", "C"),  # eventfd of the engine; -1 if there is none
    Field("scratch", "i8", "ns", "C", "C", 2),  # for the clock
    Field("fade_step", "f4", "per sample", "A", "C"),  # of the start-up fade
    Field("cross_step", "f4", "per sample", "A", "C"),  # of the change between wet and dry
    Field("offset_decay", "f4", "per sample", "A", "C"),  # of the step left by a late block
    Field("ceiling", "f4", "amplitude", "A", "C"),  # no output sample exceeds
    Field("limiter_release", "f4", "per sample", "A", "C"),
]
_PARAMETERS = [
    Field("phase", "i8", "value", "CS", "ACS"),
    Field("rule", "i8", "value", "AS", "CS"),  # of a spectral method
    Field("gain_min", "f4", "amplitude", "AS", "CS"),
    Field("mix", "f4", "share", "AS", "CS"),  # of the enhanced signal
    Field("wet_target", "f4", "share", "AS", "CS"),  # 1 enhanced, 0 bypass
    Field("share_target", "f4", "share", "AS", "CS"),  # 1: the engine is audible, 0: the compiled hop
    Field("loudness", "f4", "amplitude", "AS", "C"),  # output gain
    Field("source_end", "i8", "samples", "AS", "C"),  # total length of the source, -1 while unknown
    Field("n_source", "i8", "samples", "S", "CS"),  # written to the source ring
    Field("howl_guard", "i8", "flag", "A", "C"),  # 0 switches the howl detector off
]
_ENGINE = [
    Field("engine_on", "i8", "flag", "AS", "CES"),  # 1: it is woken for every block and must deliver output
    Field("engine_inside", "i8", "flag", "AS", "ACS"),  # 1: it is a compiled network in the callback, and no process
    Field("engine_rate", "f8", "Hz", "AS", "S"),  # at which its method runs inside all adapters
    Field("engine_hop", "i8", "samples", "AS", "CS"),
    Field("engine_latency", "i8", "samples", "AS", "CS"),  # of its method
    Field("engine_queue", "i8", "samples", "AS", "C"),  # of time it has to deliver its output
    Field("engine_wait", "i8", "samples", "ACS", "CES"),  # like `wait`, for its output; -1 before the first block
    Field("engine_block", "i8", "samples", "C", "C"),  # of the block that `engine_wait` was decided for
    Field("engine_gain_min", "f4", "amplitude", "AS", "CES"),  # the user's attenuation limit
    Field("engine_limits", "i8", "flag", "AS", "C"),  # 1: the method respects that limit; 0: dry signal is added
    Field("engine_n", "i8", "samples", "CE", "CE"),  # output samples ready
    Field("engine_from", "i8", "samples", "CE", "C"),  # first of them that is valid (an engine that fell behind skips)
    Field("engine_steps", "i8", "hops", "CE", "CS"),
    Field("engine_skipped", "i8", "samples", "CE", "S"),  # it skipped to catch up
    Field("engine_heartbeat_ns", "i8", "ns", "E", "S"),
    Field("engine_histogram", "i8", "hops", "E", "S", HISTOGRAM_BINS),
    Field("engine_max_ns", "i8", "ns", "E", "ES"),
]
_COUNTERS = [
    Field("n_in", "i8", "samples", "C", "CES"),  # received so far
    Field("n", "i8", "samples", "C", "CS"),  # output so far
    Field("n_taken", "i8", "samples", "C", "CS"),  # taken from the source ring
    Field("n_wet", "i8", "samples", "C", "C"),  # produced by the compiled hop
    Field("drained", "i8", "samples", "C", "C"),  # played after the end of the source
    Field("wait", "i8", "samples", "AC", "CS"),  # delay of the wet signal that completes blocks; -1 before the first
    Field("block", "i8", "samples", "C", "ACS"),  # of the last callback
    Field("callbacks", "i8", "callbacks", "C", "ACS"),
    Field("thread_id", "i8", "thread", "C", "A"),
    Field("first_ns", "i8", "ns", "C", "S"),  # monotonic time of the first and of the last callback
    Field("last_ns", "i8", "ns", "C", "CS"),
    Field("flag_counts", "i8", "callbacks", "C", "S", len(FLAGS)),
    Field("late_blocks", "i8", "callbacks", "C", "S"),  # callbacks that took longer than their block lasts
    Field("dry_blocks", "i8", "callbacks", "C", "S"),  # callbacks in which the engine's output was late
    Field("dry_samples", "i8", "samples", "C", "S"),
    Field("inserted", "i8", "samples", "C", "S"),  # by which the wait had to grow after the start
    Field("missing", "i8", "samples", "C", "S"),  # source samples that were late
    Field("bad_samples", "i8", "samples", "C", "S"),  # NaN or infinite input
    Field("zero_run", "i8", "samples", "C", "CS"),  # current run of exact zeros at the input
    Field("compute_histogram", "i8", "callbacks", "C", "S", HISTOGRAM_BINS),
    Field("compute_max_ns", "i8", "ns", "C", "CS"),
    Field("compute_sum_ns", "i8", "ns", "C", "S"),
    Field("jitter_histogram", "i8", "callbacks", "C", "S", HISTOGRAM_BINS),
    Field("jitter_max_ns", "i8", "ns", "C", "CS"),
    Field("energy_in", "f8", "squared", "C", "S"),  # sums of squares over all channels
    Field("energy_out", "f8", "squared", "C", "S"),
    Field("peak_in", "f4", "amplitude", "C", "CS"),  # slowly falling
    Field("peak_out", "f4", "amplitude", "C", "CS"),
    Field("limited", "i8", "samples", "C", "S"),  # the limiter lowered
    Field("adc_seconds", "f8", "s", "C", "S"),  # PortAudio's time of the last block's input
]
_PLAYBACK = [  # only when input and output are two streams with separate clocks
    Field("play_table", "i8", "address", "A", "C"),  # the (PHASES + 1, TAPS) float32 interpolator
    Field("play_channels", "i8", "channels", "A", "C"),
    Field("play_scratch", "i8", "ns", "C", "C", 2),  # for the clock
    Field("play_rate", "f8", "Hz", "A", "CS"),  # nominal
    Field("play_position", "f8", "samples", "C", "C"),  # in the clean stream; 0 before the first block
    Field("play_target", "f8", "samples", "C", "ACS"),  # between the newest input and the playback position
    Field("play_base", "f8", "samples", "C", "C"),  # initial target; the target grows if a device delivers in bursts
    Field("play_grown_ns", "i8", "ns", "C", "C"),
    Field("play_error", "f8", "samples", "C", "C"),  # smoothed distance from the target
    Field("play_drift", "f8", "share", "C", "CS"),  # output clock relative to the input clock
    Field("play_ratio", "f8", "samples", "C", "C"),  # current input samples per output sample
    Field("play_callbacks", "i8", "callbacks", "C", "S"),
    Field("play_flag_counts", "i8", "callbacks", "C", "S", len(FLAGS)),
    Field("play_starved", "i8", "samples", "C", "CS"),  # output samples for which no input was available
    Field("play_jumps", "i8", "times", "C", "S"),
    Field("play_last", "f4", "amplitude", "C", "C", CHANNELS_MAX),
]
_MEMORY = [
    Field("fade", "f4", "share", "C", "C"),
    Field("weight", "f4", "share", "AC", "C"),  # share of wet against dry
    Field("share", "f4", "share", "ACS", "CS"),  # of the engine's path relative to the compiled hop's
    Field("engine_weight", "f4", "share", "ACS", "CS"),  # share of its output against dry
    Field("difference", "f4", "amplitude", "C", "C", CHANNELS_MAX),  # contribution of wet to the last sample
    Field("offset", "f4", "amplitude", "C", "C", CHANNELS_MAX),  # part of it that is still fading out
    Field("was_wet", "i8", "flag", "ACS", "CS"),
    Field("limiter", "f4", "amplitude", "AC", "C"),
    Field("howl_gain", "f4", "amplitude", "AC", "C"),  # the howl detector's target gain, and the current, smoothed gain
    Field("howl_now", "f4", "amplitude", "AC", "C"),
    Field("howls", "i8", "times", "C", "S"),
    Field("howl_state", "i8", "value", "C", "C"),
    Field("howl_left", "i8", "segments", "C", "C"),  # until the state ends
    Field("howl_cycles", "i8", "times", "C", "C"),  # times the tone followed the gain down and back up
    Field("howl_needed", "i8", "times", "C", "C"),  # number of cycles needed for a decision
    Field(
        "howl_start", "f4", "squared", "C", "C"
    ),  # energy of the tone: at its onset, at the gain change, and least since
    Field("howl_before", "f4", "squared", "C", "C"),
    Field("howl_lowest", "f4", "squared", "C", "C"),
    Field("howl_rises", "i8", "segments", "C", "C"),  # consecutive segments in which it grew
    Field("howl_spared", "f4", "2 cos(w)", "AC", "C"),  # a tone that did not follow the gain, such as a whistle
    Field("howl_spared_energy", "f4", "squared", "C", "C"),
    Field("howl_quiet", "i8", "segments", "C", "C"),  # without a tone
    Field("howl_sums", "f8", "squared", "C", "C", 4),
    Field("howl_recent", "f4", "amplitude", "C", "C", 2),
    Field("howl_mean", "f4", "amplitude", "C", "C"),  # decimation: running sum and count
    Field("howl_count", "i8", "samples", "C", "C"),
    Field("howl_cosine", "f4", "2 cos(w)", "C", "C"),
    Field("howl_run", "i8", "segments", "C", "C"),
    Field("howl_energy", "f4", "squared", "C", "C"),
]
FIELDS = (*_SET_UP, *_PARAMETERS, *_ENGINE, *_COUNTERS, *_PLAYBACK, *_MEMORY)
LIVE = np.dtype([(field.name, field.kind, (field.n,) if field.n else ()) for field in FIELDS], align=True)
"""All method-independent state of one live stream, as one record in shared memory."""


def histogram_value_ns(index: float) -> float:
    """Time at the middle of a histogram bin, in ns."""
    return HISTOGRAM_FLOOR_NS * float(2.0 ** ((index + 0.5) / BINS_PER_OCTAVE))


def percentile_ns(histogram: np.ndarray, share: float) -> float:
    """Quantile of a time histogram, in ns, to within 2 %; 0 for an empty histogram.

    Parameters
    ----------
    histogram : (HISTOGRAM_BINS,) int64, read
    share : float
        0.5 is the median.
    """
    total = int(histogram.sum())
    if total == 0:
        return 0.0
    wanted = max(1, math.ceil(share * total))
    return histogram_value_ns(int(np.searchsorted(np.cumsum(histogram), wanted)))


def ring_capacity(rate: float, hop: int, seconds: float) -> int:
    """Samples in a ring of at least `seconds`: a multiple of `hop`, so that no hop wraps around its end."""
    return math.ceil(rate * seconds / hop) * hop


def prepare(
    live: Any, *, rate: float, channels: int, channels_in: int, channels_out: int, hop: int, latency: int
) -> None:
    """Initialize the setup fields of a new record; all other fields start at zero.

    Parameters
    ----------
    live : (1,) `LIVE`, written
    rate : float
        Hz.
    channels, channels_in, channels_out : int
        Channels processed, of the input device (0: none), and of the output device (0: none).
    hop, latency : int
        Samples.
    """
    live["rate"] = rate
    live["channels"], live["channels_in"], live["channels_out"] = channels, channels_in, channels_out
    live["hop"], live["latency"] = hop, latency
    live["wake_fd"] = live["source_end"] = live["wait"] = live["engine_wait"] = -1
    live["fade_step"] = 1.0 / (0.05 * rate)
    live["cross_step"] = 1.0 / (0.02 * rate)
    live["offset_decay"] = math.exp(-1.0 / (0.003 * rate))
    live["ceiling"] = 10.0 ** (-0.1 / 20.0)
    live["limiter_release"] = 1.0 - math.exp(-1.0 / (0.1 * rate))
    live["limiter"] = live["howl_gain"] = live["howl_now"] = live["loudness"] = live["mix"] = 1.0
    live["wet_target"] = live["weight"] = live["howl_guard"] = 1
    live["howl_spared"] = NO_TONE


def attach_rings(live: Any, rings: dict[str, F32]) -> None:
    """Write the addresses and the capacity of this process's rings into the record."""
    for name in RINGS:
        live["wet_ring" if name == "wet" else name] = rings[name].ctypes.data
    live["capacity"] = rings["noisy"].shape[0]


def audible_delay(live: Any) -> int:
    """Delay from input to output in samples: the wait plus the latency of the audible path.

    Parameters
    ----------
    live : (1,) `LIVE`, read
    """
    record = live[0]
    if record["share_target"] > 0.0 and record["engine_wait"] >= 0:
        return int(record["engine_wait"]) + int(record["engine_latency"])
    return int(record["wait"]) + int(record["latency"])


def audible_rate(live: Any) -> float:
    """Rate at which the audible method runs, in Hz; `live` is (1,) `LIVE`, read."""
    record = live[0]
    return float(record["engine_rate"] if record["share_target"] > 0.0 else record["rate"])


def expect_engine(live: Any, built: Built, latency: str | float) -> None:
    """Write the properties reported by an engine process into the record; set `engine_on` afterwards.

    Parameters
    ----------
    live : (1,) `LIVE`, written
    built : Built
    latency : "low", "safe" or float
        From the plan; "safe" gives the engine three hops to deliver its output instead of one.
    """
    live["engine_hop"], live["engine_latency"] = built.hop, built.latency
    live["engine_rate"] = built.rate_hz
    live["engine_queue"] = built.hop * (3 if latency == "safe" else 1)
    live["engine_limits"], live["engine_gain_min"] = int(built.limits), built.gain_min
    live["engine_wait"] = -1
    live["engine_weight"] = live["was_wet"] = live["engine_inside"] = 0


def hear_engine(live: Any) -> None:
    """Let a new stream begin with the engine's output; `live` is (1,) `LIVE`, written."""
    live["share"] = live["share_target"] = 1.0
    live["engine_on"] = 1
