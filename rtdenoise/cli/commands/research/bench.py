"""``rtdenoise bench``: what this machine runs live."""

from __future__ import annotations

from pathlib import Path

import click

from rtdenoise.cli.strict import StrictCommand

SLOWER_EXIT_CODE = 3


@click.command(cls=StrictCommand)
@click.option(
    "-a",
    "--method",
    "names",
    multiple=True,
    metavar="NAME",
    help="METHOD:PRESET or CAN:MODEL, +KEY=VALUE; repeat.  [default: all]",
)
@click.option("--quick", is_flag=True, help="Only the usual choices; half a minute.")
@click.option("--load", "loaded", is_flag=True, help="Beside a busy core and a Python thread that never rests.")
@click.option("--seconds", type=float, metavar="S", help="Length of each paced run.  [default: 10, quick 0.8]")
@click.option("--rate", "rate_hz", type=int, default=16000, show_default=True, metavar="HZ", help="Sample rate.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    metavar="OLD.json",
    help="Compare with an earlier record; exit code 3 if slower.",
)
@click.option(
    "--tolerance",
    type=float,
    default=0.05,
    show_default=True,
    metavar="SHARE",
    help="Smallest change that counts as slower.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write JSON, Markdown, PNG and HTML here.  [default: none]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, as into a pipe, on a terminal too.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(
    *,
    names: tuple[str, ...],
    quick: bool,
    loaded: bool,
    seconds: float | None,
    rate_hz: int,
    compare: Path | None,
    tolerance: float,
    output: Path | None,
    as_json: bool,
    as_markdown: bool,
    quiet: bool,
) -> int:
    r"""Measure cost, tail, latency, memory and capacity of every method on this machine.

    Each row says whether the method holds live at its block size.  With --compare the exit code is 3 if something
    became slower than in the old record, beyond the noise of the two runs, or is not measured any more; it also says
    how far the two runs agree.

    \b
    Examples:
        rtdenoise bench --quick
        rtdenoise bench --load -o bench/
        rtdenoise bench --compare bench/bench.json
    """
    import json

    from rtdenoise.bench.cases import QUICK
    from rtdenoise.bench.compare import SLOWER, agreement, check_tolerance, load_bench
    from rtdenoise.bench.compare import compare as compare_records
    from rtdenoise.bench.report import write_report
    from rtdenoise.bench.run import SCHEMA, Request, bench
    from rtdenoise.bench.tables import agreement_line, changes_table, markdown
    from rtdenoise.cli.console import Bar, stderr_console
    from rtdenoise.cli.tables import print_report
    from rtdenoise.disk.atomic import require_folder

    check_tolerance(tolerance)
    old = load_bench(compare, SCHEMA) if compare is not None else None
    if output is not None:
        require_folder(output)
    request = Request(names=names, rate_hz=rate_hz, quick=quick, loaded=loaded, seconds=seconds)
    with Bar(stderr_console(quiet=quiet), "bench") as bar:
        record = bench(request, bar.update)
    changes = []
    if old is not None:
        changes = compare_records(old, record, tolerance, names or (QUICK if quick else ()))
        record["changes"] = [change.as_dict() for change in changes]
        record["agreement"] = agreement(old, record, changes)
    files = write_report(record, output) if output is not None else ()
    if as_json:
        click.echo(json.dumps(record))
    elif not quiet:
        print_report(markdown(record), as_markdown=as_markdown)
        if changes:
            said = f"{changes_table(changes)}\n\n{agreement_line(record['agreement'])}\n"
            print_report(said, as_markdown=as_markdown)
        click.echo("\n".join(str(path) for path in files), nl=bool(files))
    failed = all("error" in row for row in record["rows"])
    return 1 if failed else SLOWER_EXIT_CODE if any(change.verdict == SLOWER for change in changes) else 0
