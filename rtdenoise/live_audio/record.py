"""The record and ring buffers shared by the audio thread, the engine process and the supervising session."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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

# Every position is a sample number p of the stream, counted from the first callback.  Noisy sample p is the input; wet
# sample q is the compiled hop's q-th output; clean sample p plays ``wet[p - wait]``, and the time-aligned dry signal is
# ``noisy[p - wait - latency]``.  An engine process has a separate, parallel path with `engine_wait` and
# `engine_latency`; `share` is the weight of that path in the output.
_SET_UP = [
    ("rate", "f8"),  # Hz
    ("noisy", "i8"),  # addresses of the rings, each (capacity, channels) float32
    ("wet_ring", "i8"),
    ("answers", "i8"),
    ("clean", "i8"),
    ("source", "i8"),
    ("capacity", "i8"),  # samples per ring, a multiple of `hop`
    ("channels", "i8"),  # processed
    ("channels_in", "i8"),  # of the device; 0: the input is the source ring
    ("channels_out", "i8"),  # of the device; 0: the output is the clean ring alone
    ("hop", "i8"),
    ("latency", "i8"),  # of the method
    ("wake_fd", "i8"),  # eventfd of the engine; -1 if there is none
    ("scratch", "i8", (2,)),  # for the clock
    ("fade_step", "f4"),  # per sample, of the start-up fade
    ("cross_step", "f4"),  # per sample, of the change between wet and dry
    ("offset_decay", "f4"),  # per sample, of the step left by a late block
    ("ceiling", "f4"),  # amplitude no output sample exceeds
    ("limiter_release", "f4"),  # per sample
]
_PARAMETERS = [
    ("phase", "i8"),
    ("rule", "i8"),  # of a spectral method
    ("gain_min", "f4"),  # amplitude
    ("mix", "f4"),  # share of the enhanced signal
    ("wet_target", "f4"),  # 1 enhanced, 0 bypass
    ("share_target", "f4"),  # 1: the engine is audible, 0: the compiled hop
    ("loudness", "f4"),  # output gain, amplitude
    ("source_end", "i8"),  # total length of the source, -1 while unknown
    ("n_source", "i8"),  # samples written to the source ring
    ("howl_guard", "i8"),  # 0 switches the howl detector off
]
_ENGINE = [
    ("engine_on", "i8"),  # 1: it is woken for every block and must deliver output
    ("engine_inside", "i8"),  # 1: it is a compiled network in the callback itself, and no process
    ("engine_rate", "f8"),  # Hz, at which its method runs inside all adapters
    ("engine_hop", "i8"),
    ("engine_latency", "i8"),  # of its method
    ("engine_queue", "i8"),  # samples of time it has to deliver its output
    ("engine_wait", "i8"),  # like `wait`, for its output; -1 before the first block
    ("engine_block", "i8"),  # samples of the block that `engine_wait` was decided for
    ("engine_gain_min", "f4"),  # amplitude; the user's attenuation limit
    ("engine_limits", "i8"),  # 1: the method itself respects that limit; 0: that much of the dry signal is added
    ("engine_n", "i8"),  # output samples ready
    ("engine_from", "i8"),  # first of them that is valid (an engine that fell behind skips)
    ("engine_steps", "i8"),
    ("engine_skipped", "i8"),  # samples it skipped to catch up
    ("engine_heartbeat_ns", "i8"),
    ("engine_histogram", "i8", (HISTOGRAM_BINS,)),
    ("engine_max_ns", "i8"),
]
_COUNTERS = [
    ("n_in", "i8"),  # samples received so far
    ("n", "i8"),  # samples output so far
    ("n_taken", "i8"),  # samples taken from the source ring
    ("n_wet", "i8"),  # samples produced by the compiled hop
    ("drained", "i8"),  # samples played after the end of the source
    ("wait", "i8"),  # samples by which the wet signal is delayed so that blocks are complete; -1 before the first
    ("block", "i8"),  # samples of the last callback
    ("callbacks", "i8"),
    ("thread_id", "i8"),
    ("first_ns", "i8"),  # monotonic time of the first and of the last callback
    ("last_ns", "i8"),
    ("flag_counts", "i8", (len(FLAGS),)),
    ("late_blocks", "i8"),  # callbacks that took longer than their block lasts
    ("dry_blocks", "i8"),  # callbacks in which the engine's output was late
    ("dry_samples", "i8"),
    ("inserted", "i8"),  # samples by which the wait had to grow after the start
    ("missing", "i8"),  # source samples that were late
    ("bad_samples", "i8"),  # NaN or infinite input
    ("zero_run", "i8"),  # current run of exact zeros at the input
    ("compute_histogram", "i8", (HISTOGRAM_BINS,)),
    ("compute_max_ns", "i8"),
    ("compute_sum_ns", "i8"),
    ("jitter_histogram", "i8", (HISTOGRAM_BINS,)),
    ("jitter_max_ns", "i8"),
    ("energy_in", "f8"),  # sums of squares over all channels
    ("energy_out", "f8"),
    ("peak_in", "f4"),  # slowly falling
    ("peak_out", "f4"),
    ("limited", "i8"),  # samples the limiter lowered
    ("adc_seconds", "f8"),  # PortAudio's time of the last block's input
]
_PLAYBACK = [  # only when input and output are two streams with separate clocks
    ("play_table", "i8"),  # address of the (PHASES + 1, TAPS) float32 interpolator
    ("play_channels", "i8"),
    ("play_scratch", "i8", (2,)),  # for the clock
    ("play_rate", "f8"),  # Hz, nominal
    ("play_position", "f8"),  # in the clean stream; 0 before the first block
    ("play_target", "f8"),  # samples between the newest input and the playback position
    ("play_base", "f8"),  # initial target; the target grows if a device delivers in bursts
    ("play_grown_ns", "i8"),
    ("play_error", "f8"),  # smoothed distance from the target
    ("play_drift", "f8"),  # output clock relative to the input clock
    ("play_ratio", "f8"),  # current input samples per output sample
    ("play_callbacks", "i8"),
    ("play_flag_counts", "i8", (len(FLAGS),)),
    ("play_starved", "i8"),  # output samples for which no input was available
    ("play_jumps", "i8"),
    ("play_block", "i8"),
    ("play_last", "f4", (CHANNELS_MAX,)),
]
_MEMORY = [
    ("fade", "f4"),
    ("weight", "f4"),  # share of wet against dry
    ("share", "f4"),  # of the engine's path relative to the compiled hop's
    ("engine_weight", "f4"),  # share of its output against dry
    ("difference", "f4", (CHANNELS_MAX,)),  # contribution of wet to the last sample
    ("offset", "f4", (CHANNELS_MAX,)),  # part of it that is still fading out
    ("was_wet", "i8"),
    ("limiter", "f4"),
    ("howl_gain", "f4"),  # the howl detector's target gain, and the current, smoothed gain
    ("howl_now", "f4"),
    ("howls", "i8"),
    ("howl_hz", "f4"),
    ("howl_state", "i8"),
    ("howl_left", "i8"),  # segments until the state ends
    ("howl_cycles", "i8"),  # times the tone followed the gain down and back up
    ("howl_needed", "i8"),  # number of cycles needed for a decision
    ("howl_start", "f4"),  # energy of the tone at its onset, at the gain change, and the minimum since
    ("howl_before", "f4"),
    ("howl_lowest", "f4"),
    ("howl_rises", "i8"),  # consecutive segments in which it grew
    ("howl_spared", "f4"),  # 2 cos(w) and energy of a tone that did not follow the gain, such as a whistle
    ("howl_spared_energy", "f4"),
    ("howl_quiet", "i8"),  # segments without a tone
    ("howl_sums", "f8", (4,)),
    ("howl_recent", "f4", (2,)),
    ("howl_mean", "f4"),  # decimation: running sum and count
    ("howl_count", "i8"),
    ("howl_cosine", "f4"),
    ("howl_run", "i8"),
    ("howl_energy", "f4"),
]
LIVE = np.dtype([*_SET_UP, *_PARAMETERS, *_ENGINE, *_COUNTERS, *_PLAYBACK, *_MEMORY], align=True)
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
