"""`boxray`: noun, then verb. stdout is for programs, stderr for people; no command asks back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import click
import typer

import boxray
from boxray.cli import classification, data, demo, detection, doctor, read, serve
from boxray.cli.exits import Exit
from boxray.core.errors import BoxrayError, InputError, RecipeError
from boxray.core.reading import DISCLAIMER

app = typer.Typer(
    name="boxray",
    help=f"Boxed findings on chest radiographs, with the heat map beside them. {DISCLAIMER}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("read")(read.read)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(detection.app, name="detection")
app.add_typer(classification.app, name="classification")
app.add_typer(serve.app, name="serve")


def _version(value: bool) -> None:
    if value:
        print(f"boxray {boxray.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log what is done, on stderr.")] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, stream=sys.stderr, format="%(message)s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with an exit code of `Exit`."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except click.UsageError as error:
        error.show(sys.stderr)
        sys.exit(Exit.USAGE)
    except click.Abort:
        sys.exit(130)
    except RecipeError as error:
        sys.exit(_said(error, Exit.USAGE))
    except InputError as error:
        sys.exit(_said(error, Exit.PARTLY))
    except BoxrayError as error:
        sys.exit(_said(error, Exit.ERROR))
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _said(error: BoxrayError, code: Exit) -> Exit:
    print(f"boxray: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
