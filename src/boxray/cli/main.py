"""`boxray`: noun, then verb. stdout is for programs, stderr for people; no command asks back."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, ParamSpec

import typer

import boxray
from boxray.cli import classification, compare, data, demo, detection, doctor, read, review, serve
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
P = ParamSpec("P")


def _leaving(command: Callable[P, int]) -> Callable[P, None]:
    """A command that leaves with the code it returns."""

    @wraps(command)
    def leave(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(command(*args, **kwargs))

    return leave


app.command("read")(_leaving(read.read))
app.command("demo")(_leaving(demo.demo))
app.command("compare")(compare.compare)
app.command("doctor")(_leaving(doctor.doctor))
app.add_typer(data.app, name="data")
app.add_typer(detection.app, name="detection")
app.add_typer(classification.app, name="classification")
app.add_typer(review.app, name="review")
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
        app(args=arguments, prog_name="boxray")  # leaves by itself; a usage error with 2
    except RecipeError as error:
        sys.exit(_said(error, Exit.USAGE))
    except InputError as error:
        sys.exit(_said(error, Exit.PARTLY))
    except BoxrayError as error:
        sys.exit(_said(error, Exit.ERROR))
    except OSError as error:  # a folder that may not be written to, a full disk
        logging.getLogger(__name__).info("what the system refused:", exc_info=error)
        sys.exit(_said(_of_the_system(error), Exit.ERROR))


def _said(error: object, code: Exit) -> Exit:
    print(f"boxray: {error}", file=sys.stderr)
    return code


def _of_the_system(error: OSError) -> str:
    """What the system says, without the number that it gives it."""
    return str(error).removeprefix(f"[Errno {error.errno}] ")


if __name__ == "__main__":
    main()
