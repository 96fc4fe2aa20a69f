"""`boxray serve`: open a door."""

from __future__ import annotations

from typing import Annotated

import typer

from boxray.cli.read import DetectorChoice

app = typer.Typer(help="Serve the reading room.", no_args_is_help=True)


@app.command("app")
def gradio_app(
    address: Annotated[str, typer.Option(help="A loop-back address: there is no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 7860,
    detector: DetectorChoice = None,
) -> None:
    """Open the app in a browser at the address that is printed (same as: python app_gradio.py)."""
    from boxray.cli.demo import examples
    from boxray.serve.app import main

    main(examples(), address=address, port=port, detector=detector)


@app.callback()
def _serve() -> None:
    """Keeps `app` a sub-command while it is the only one."""
