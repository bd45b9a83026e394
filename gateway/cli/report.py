"""`turnout report`: what the lake knows of a rollout, as tables for people and JSON for programs."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli import failing, spending, splitting
from gateway.cli.client import add_reach_options, reach
from gateway.cli.compared import write_comparison, write_comparisons
from gateway.cli.narrowing import add_division, add_narrowing_options, wanted
from gateway.cli.satisfied import write_satisfaction, write_satisfactions
from gateway.cli.table import write_json


def add_parser(commands: Any) -> None:
    """Add `report` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser(
        "report", help="compare a rollout's two arms; costs, failures, traffic"
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    compare = actions.add_parser(
        "compare",
        help="base and candidate head to head: errors, latency, tokens, cost, satisfaction",
        description="Base and candidate head to head. docs/reports.md says how each line is computed.",
    )
    add_narrowing_options(compare)
    add_division(compare)
    compare.add_argument(
        "--as-treated", action="store_true", help="beside it, the same requests by the arm that served"
    )
    add_reach_options(compare)
    compare.set_defaults(run=run_compare, only_reports=True)
    satisfaction = actions.add_parser(
        "satisfaction",
        help="thumbs, ratings and signals of both arms, and how many users give any",
        description="What users say of both arms' answers. docs/reports.md says how each line is computed.",
    )
    add_narrowing_options(satisfaction)
    add_division(satisfaction)
    add_reach_options(satisfaction)
    satisfaction.set_defaults(run=run_satisfaction, only_reports=True)
    for other in (spending, failing, splitting):
        other.add_parser(actions)


def run_compare(arguments: argparse.Namespace) -> int:
    """Print one comparison, or one for each part."""
    asked = wanted(arguments)
    if arguments.as_treated:
        asked = {**asked, "as_treated": "true"}
    with reach(arguments) as console:
        found = console.compare(asked) if arguments.by is None else console.compare_by(asked)
    if arguments.json:
        write_json(found)
    elif isinstance(found, list):
        write_comparisons(found, str(arguments.by))
    else:
        write_comparison(found)
    return 0


def run_satisfaction(arguments: argparse.Namespace) -> int:
    """Print what users say, once or for each part."""
    asked = wanted(arguments)
    with reach(arguments) as console:
        found = console.satisfaction(asked) if arguments.by is None else console.satisfaction_by(asked)
    if arguments.json:
        write_json(found)
    elif isinstance(found, list):
        write_satisfactions(found, str(arguments.by))
    else:
        write_satisfaction(found)
    return 0
