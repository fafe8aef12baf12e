"""`hopkeeper gameday FILE`, and `python -m proving.gameday FILE`: plays the faults of a topology and prints what they come to."""

import logging
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn

import click
import yaml

from function_app.cli.ends import TROUBLE, WRONG, show
from function_app.domain.base.errors import BadInput
from function_app.domain.topology.model import Topology
from proving.gameday.document import GameDay, NotSimulated, Played
from proving.gameday.faults import faults, named, pairs
from proving.gameday.paces import PACES
from proving.gameday.report import lines, page
from proving.gameday.run import NotAtRest, run
from proving.gameday.verdict import played
from proving.stories.stage import decoded, enrolled


@click.command(
    help="Play every single fault of a topology over a simulated Azure, in virtual time, with Hopkeeper and without it: who "
    "serves then, for how long new flows are lost, what is published, against the published bound. Ends with 1 where one "
    "is exceeded.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--only", multiple=True, metavar="TEXT", help="Faults whose name contains it; may be repeated.")
@click.option("--pairs", "in_pairs", is_flag=True, help="Two at a time: the second is a machine that falls silent.")
@click.option(
    "--trace", metavar="FAULT", help="Print what happens in this one, line by line; two are joined by a plus."
)
@click.option("--seed", default=0, show_default=True, help="Draws when a fault begins; the same seed plays the same.")
@click.option("--jobs", default=2, show_default=True, help="Processes.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, of the schema in contracts/documents.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report to this file, too.")
def gameday(
    file: Path,
    only: tuple[str, ...],
    in_pairs: bool,
    trace: str | None,
    **how: object,
) -> None:
    topology = _read(file)
    try:
        if trace is not None:
            _trace(topology, file, trace, int(str(how["seed"])))
            return
        names = ["+".join(each.name for each in pair) for pair in pairs(topology)]
        if not in_pairs:
            names = [each.name for each in faults(topology) if each.act is not None]
        names = [name for name in names if not only or any(part in name for part in only)]
        _play(topology, file, names, how)
    except NotAtRest as error:
        _refuse(file, str(error))


def _read(file: Path) -> Topology:
    """Ends with 2 where it is no topology that can be played."""
    try:
        topology = decoded(enrolled(yaml.safe_load(file.read_text())))
    except (BadInput, yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        _refuse(file, f"{error} (hopkeeper check {file} says more)")
    balancers = [
        pool.id.casefold() for s in topology.services for pool in (s.load_balancer.pools if s.load_balancer else ())
    ]
    if len(set(balancers)) < len(balancers):
        _refuse(file, "two services behind one load balancer are not simulated")
    return topology


def _refuse(file: Path, why: str) -> NoReturn:
    click.echo(f"{file} cannot be played: {why}", err=True)
    sys.exit(WRONG)


def _trace(topology: Topology, file: Path, name: str, seed: int) -> None:
    try:
        named(topology, name)
    except KeyError as error:
        known = ", ".join(each.name for each in faults(topology) if each.act is not None)
        raise click.UsageError(f"there is no fault {error}; there are {known}") from error
    _quiet()
    found = run(file, name, seed, with_app=True)
    click.echo("\n".join(found.lines))
    if found.broken_law:
        click.echo(found.broken_law)
        sys.exit(TROUBLE)


def _play(topology: Topology, file: Path, names: list[str], how: dict[str, object]) -> None:
    seed, html = int(str(how["seed"])), how["html"]
    found = []
    for number, each in enumerate(_played(topology, file, names, (seed, int(str(how["jobs"]))))):
        found.append(each)
        if sys.stderr.isatty():
            click.echo(f"\r{number + 1} of {len(names)}", err=True, nl=number + 1 == len(names))
    day = GameDay(
        topology=topology.name,
        seed=seed,
        played=tuple(found),
        not_simulated=tuple(NotSimulated(fault=f.name, why=f.why) for f in faults(topology) if f.act is None),
        paces=PACES,
    )
    if isinstance(html, Path):
        html.write_text(page(day))
    if how["as_json"]:
        show(day)
    else:
        click.echo("\n".join(lines(day)))
    if not day.is_well:
        sys.exit(TROUBLE)


def _played(topology: Topology, file: Path, names: list[str], seed_and_jobs: tuple[int, int]) -> Iterator[Played]:
    """In the order of `names`, whichever ends first."""
    seed, jobs = seed_and_jobs
    if jobs == 1:
        _quiet()
        yield from (played(topology, file, name, seed) for name in names)
        return
    with get_context("spawn").Pool(jobs, _quiet) as pool:
        waiting = [pool.apply_async(played, (topology, file, name, seed)) for name in names]
        yield from (each.get() for each in waiting)


def _quiet() -> None:
    """What the product logs is for operators; without a handler Python would print it between the lines."""
    logging.getLogger().addHandler(logging.NullHandler())
