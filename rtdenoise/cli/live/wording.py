"""One-line messages of a live run: its report, and mismatches between devices and options."""

from __future__ import annotations

from typing import Any

from rtdenoise.cli.live.options import MAX_CHANNELS
from rtdenoise.live_audio.messages import Opened
from rtdenoise.live_audio.monitor import count_xruns
from rtdenoise.live_audio.plan import LivePlan


def line(report: dict[str, Any]) -> str:
    """A report in one line; what is missing is in it only where something is."""
    budget, used = report["latency_ms"], report["budget_used_percent"]
    reduction, lost, rate = report["noise_reduction_db"], report["lost"], report.get("rate_hz")
    parts = [
        f"{report['seconds']:.0f} s",
        f"in {report['level_in_dbfs']:.0f} dBFS",
        f"out {report['level_out_dbfs']:.0f} dBFS",
        f"noise {-reduction:+.1f} dB" if reduction is not None else "noise -",
        f"latency {budget.get('total', 0.0):.1f} ms",
        f"budget used {used.get('p50', 0.0):.1f} % "
        f"(p99.9 {used.get('p99.9', 0.0):.1f} %, max {used.get('max', 0.0):.1f} %)",
        f"late {report['late_blocks'] + report['dry_blocks']}",
        f"xruns {count_xruns(report)}",
        f"lost {lost}" + (f" ({lost / rate:.2f} s)" if lost and rate else ""),
    ]
    for what in ("output", "recording"):
        if seconds := report.get(f"{what}_missing_seconds"):
            parts.append(f"missing in the {what} {seconds:.2f} s")
    return "  ".join(parts)


def adaptation_notes(plan: LivePlan, devices: Opened, file: tuple[str, int] | None) -> list[str]:
    """A line each for channels that had to be adapted, and for a latency that the host does not take from us.

    Parameters
    ----------
    plan : LivePlan
    devices : Opened
        What was opened.
    file : (name, channels), optional
        What is played, where no microphone is heard.
    """
    source, target = devices.source, devices.target
    heard = (source.name, source.channels_in) if source else file or ("", plan.channels)
    played = (target.name, target.channels_out) if target else ("", plan.channels)
    fewest = min(heard[1], played[1])
    if fewest < plan.channels:
        fates = [_filled(plan.channels, *heard), _left_over(plan.channels, *played)]
        said = f"--channels {plan.channels}: {'; '.join(fate for fate in fates if fate)}; use --channels {fewest}"
    else:
        wanted = plan.channels_out or max(2, plan.channels)
        fates = [_chosen(plan.channels, *heard, mixed=source is None), _spread(plan.channels, wanted, *played)]
        said = "; ".join(fate for fate in fates if fate)
    return [text for text in (said, _latency(plan, devices)) if text]


def _filled(asked: int, name: str, there: int) -> str:
    """How a microphone or a file with fewer channels becomes those that were asked for."""
    if there >= asked:
        return ""
    return f"{name!r} has {_count(there)}, {'which is in all of them' if there == 1 else 'the last fills the rest'}"


def _left_over(processed: int, name: str, there: int) -> str:
    """How a speaker with fewer channels plays those that are processed."""
    if there >= processed:
        return ""
    return f"{name!r} has {_count(there)}, {'so they are mixed' if there == 1 else 'the rest is not heard'}"


def _chosen(asked: int, name: str, there: int, *, mixed: bool) -> str:
    """What of a microphone or a file with more channels is processed."""
    if there == asked or there > MAX_CHANNELS:  # a server's default has dozens and fits them itself
        return ""
    fate = "mixed to one" if mixed and asked == 1 else f"of which {asked} {'is' if asked == 1 else 'are'} used"
    return f"{name!r} has {_count(there)}, {fate}; --channels {there} keeps all"


def _spread(processed: int, wanted: int, name: str, there: int) -> str:
    """How one voice is played by a speaker with more channels."""
    if not processed == 1 < min(there, wanted) or there > MAX_CHANNELS:
        return ""
    return f"{name!r} has {_count(there)}: the voice is played on {'both' if there == 2 else f'{wanted} of them'}"


def _count(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"


def _latency(plan: LivePlan, devices: Opened) -> str:
    """JACK decides on the block alone; of "safe" it leaves the hops that an engine gets to answer."""
    opened = [device for device in (devices.source, devices.target) if device]
    if plan.latency == "low" or not any("JACK" in device.host_api for device in opened):
        return ""
    if plan.uses_engine and plan.latency == "safe":
        return ""
    return (
        f"--latency {plan.latency} changes nothing on JACK: its server sets the block; start it with a longer one (-p)"
    )
