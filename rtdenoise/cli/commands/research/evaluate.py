"""``rtdenoise evaluate``: how good it sounds, beside the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtdenoise.cli.strict import StrictCommand
from rtdenoise.disk.names import shown

WORSE_EXIT_CODE = 3
_OWN = ("WF:quality", "WF:balanced", "WF:low", "SS:balanced", "CAN:can-live")


@click.command(cls=StrictCommand)
@click.option("--clean", type=click.Path(path_type=Path), metavar="DIR", help="Clean speech; pairs go by file name.")
@click.option("--noisy", type=click.Path(path_type=Path), metavar="DIR", help="The same speech with noise.")
@click.option("--voicebank", type=click.Path(path_type=Path), metavar="DIR", help="VoiceBank-DEMAND as unpacked.")
@click.option("--speech", type=click.Path(path_type=Path), metavar="DIR", help="Clean speech to mix; or manifest.csv.")
@click.option("--noise", type=click.Path(path_type=Path), metavar="DIR", help="Noise to mix; or manifest.csv.")
@click.option("--split", default="", metavar="NAME", help="Rows of a manifest to use, for example dev.  [default: all]")
@click.option(
    "--tiers", default="", metavar="LIST", help="Speech of a manifest to use, for example A,B.  [default: all]"
)
@click.option("--labels", default="", metavar="LIST", help="Noises to mix; babble: other speakers.  [default: all]")
@click.option("--snr", default="-5,0,5,10,15", show_default=True, metavar="LIST", help="dB, for mixing.")
@click.option("--clips", "count", type=int, metavar="N", help="Number of clips.  [default: all pairs, 100 mixtures]")
@click.option("--seconds", type=float, default=6.0, show_default=True, metavar="S", help="Length of a mixture.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same mixtures.")
@click.option("--clean-clips", type=int, default=0, metavar="N", help="Also score N clips without noise.  [default: 0]")
@click.option(
    "-a",
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="METHOD:PRESET or CAN:MODEL, +KEY=VALUE; repeat.  [default: a choice]",
)
@click.option("--peer", "peers", multiple=True, metavar="NAME", help="A peer, or 'NAME=command {in} {out}'; repeat.")
@click.option("--peers/--no-peers", "all_peers", default=True, help="Every peer that is installed.  [default: --peers]")
@click.option("--no-dnsmos", is_flag=True, help="Skip DNSMOS, by far the slowest metric.")
@click.option("--no-cost", is_flag=True, help="Skip measuring what each system costs.")
@click.option(
    "--page-clips", type=int, default=3, show_default=True, metavar="N", help="Best and worst clips on the page."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("evaluation"),
    show_default=True,
    metavar="DIR",
    help="Where all of it goes.",
)
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Scores.  [default: in the output]")
@click.option("--jobs", type=int, metavar="N", help="Processes.  [default: all cores]")
@click.option("--wer", "words", is_flag=True, help="Measure word errors of recognised speech instead; see --asr.")
@click.option(
    "--asr",
    "recognisers",
    multiple=True,
    metavar="NAME",
    help="pocketsphinx, or 'NAME=command {in}'; repeat.  [default: pocketsphinx]",
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="OLD.json",
    help="Compare with an earlier record; exit code 3 if worse.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, as into a pipe, on a terminal too.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(**values: Any) -> int:
    r"""Measure quality: PESQ, STOI, SI-SDR, composite scores, DNSMOS, beside every peer.

    Writes JSON, CSV, Markdown, pictures and a page to listen to into the output folder.  Run it again to go on after
    an interruption: what was scored is kept.  A clip or a peer that fails is named, and the rest goes on.  With
    --compare the exit code is 3 if a method became worse on the same clips, or fails on clips that it managed before;
    methods named by -a are the only ones compared.

    With --wer the speech is a manifest with a column `text`. Whole utterances are recognised in noise and without it,
    as they are and after every method; what counts are words that are wrong, left out or put in.

    \b
    Examples:
        rtdenoise evaluate --clean clean/ --noisy noisy/
        rtdenoise evaluate --speech speech/ --noise noise/ --snr 0,10 --clips 50 -a WF:low -a WF:quality
        rtdenoise evaluate --voicebank VoiceBank-DEMAND/ --peer 'mine=denoise {in} {out}'
        rtdenoise evaluate --wer --speech manifest.csv --noise noise/ --asr 'mine=transcribe {in}' -a WF:low
    """
    from rtdenoise.cli.console import Bar, stderr_console
    from rtdenoise.cli.tables import print_report
    from rtdenoise.evaluate.compared.peers import PEERS
    from rtdenoise.evaluate.machine import cores
    from rtdenoise.evaluate.report.compare import WORSE, changes_table, load_evaluation
    from rtdenoise.evaluate.report.compare import compare as compare_records
    from rtdenoise.evaluate.session import Request, evaluate

    recognisers = values.pop("recognisers")
    if values.pop("words"):
        return _words(recognisers, values)
    if recognisers:
        raise click.UsageError("--asr is for --wer")
    as_markdown = values.pop("as_markdown")
    quiet, as_json, compare = values.pop("quiet"), values.pop("as_json"), values.pop("compare")
    old = load_evaluation(compare) if compare is not None else None
    named, all_peers = values.pop("peers"), values.pop("all_peers")
    methods, jobs = values.pop("methods"), values.pop("jobs")
    request = Request(
        own=methods or _OWN,
        peers=tuple(dict.fromkeys([*(PEERS if all_peers else ()), *named])),
        snrs_db=_numbers(values.pop("snr")),
        tiers=tuple(filter(None, values.pop("tiers").split(","))),
        labels=tuple(filter(None, values.pop("labels").split(","))),
        with_dnsmos=not values.pop("no_dnsmos"),
        with_costs=not values.pop("no_cost"),
        jobs=cores() if jobs is None else jobs,
        **values,
    )
    with Bar(stderr_console(quiet=quiet), "clips") as bar:
        answer = evaluate(request, bar.update)
    changes = compare_records(old, answer.record, methods) if old is not None else []
    if as_json:
        from rtdenoise.evaluate.report.record import to_json

        more = {"changes": [change.as_dict() for change in changes]} if old is not None else {}
        click.echo(to_json({**answer.record, **more}), nl=False)
    elif not quiet:
        print_report(answer.markdown, as_markdown=as_markdown)
        if changes:
            print_report(changes_table(changes) + "\n", as_markdown=as_markdown)
        click.echo("\n".join(shown(path) for path in answer.files))
    return WORSE_EXIT_CODE if any(change.verdict == WORSE for change in changes) else 0


def _words(named: tuple[str, ...], values: dict[str, Any]) -> int:
    """Measure word errors."""
    from rtdenoise.cli.console import Bar, stderr_console
    from rtdenoise.cli.tables import print_report
    from rtdenoise.errors import ConfigError
    from rtdenoise.evaluate.report.record import to_json
    from rtdenoise.evaluate.words.recognisers import SPHINX, parse_recogniser
    from rtdenoise.evaluate.words.session import Request, evaluate_words

    if values["speech"] is None or values["noise"] is None or values["compare"] is not None:
        raise ConfigError(
            "--wer needs --speech manifest.csv, with a column text, and --noise; it compares with no record"
        )
    request = Request(
        speech=values["speech"],
        noise=values["noise"],
        recognisers=tuple(map(parse_recogniser, named or (SPHINX,))),
        own=values["methods"] or _OWN,
        peers=values["peers"],
        output=values["output"],
        split=values["split"],
        tiers=tuple(filter(None, values["tiers"].split(","))),
        labels=tuple(filter(None, values["labels"].split(","))),
        snrs_db=_numbers(values["snr"]),
        count=values["count"],
        seed=values["seed"],
        cache=values["cache"],
    )
    with Bar(stderr_console(quiet=values["quiet"]), "utterances") as bar:
        answer = evaluate_words(request, bar.update)
    if values["as_json"]:
        click.echo(to_json(answer.record), nl=False)
    elif not values["quiet"]:
        print_report(answer.markdown, as_markdown=values["as_markdown"])
        click.echo("\n".join(shown(path) for path in answer.files))
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise click.UsageError(f"--snr {text}: give numbers with commas, for example 0,5,10") from error
