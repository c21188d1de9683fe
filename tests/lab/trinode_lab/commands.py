"""What the command lines of the lab and of kind clusters have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from trinode_lab.errors import LabError


def commands(parser: argparse.ArgumentParser, metavar: str, shared: argparse.ArgumentParser) -> Callable[[str, object, str], argparse.ArgumentParser]:
    """What adds commands to a parser, each with the shared options: of a name, with a function of the options (None where commands follow) and a help."""
    group = parser.add_subparsers(required=True, metavar=metavar)

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = group.add_parser(name, parents=[shared], help=text, description=text)
        command.set_defaults(run=run)
        return command

    return add


def main(parser: argparse.ArgumentParser) -> int:
    """Run what the arguments say; the exit code."""
    options = parser.parse_args()
    try:
        options.run(options)
    except LabError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; `{parser.prog} down` removes what stands", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    return 0
