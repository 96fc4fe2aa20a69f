"""`boxray serve`: open the doors. Alone it opens both, the app and REST."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from boxray.cli.exits import Exit
from boxray.cli.read import ClassifierChoice, DetectorChoice
from boxray.cli.show import PEOPLE
from boxray.core.reading import DISCLAIMER
from boxray.engines import EngineName

app = typer.Typer(help="Serve the reading room: app and REST in one process, on this machine only; read an archive.")

LEDGER = Path("runs/pacs/ledger.jsonl")

Address = Annotated[str, typer.Option(help="Where to listen; one that others can reach needs a token.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0: a free one.")]
Host = Annotated[list[str] | None, typer.Option(help="Serve this host name too; may be given several times.")]
RootPath = Annotated[str, typer.Option(help="Path under which a proxy shows it and that the proxy takes off: /boxray")]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with the token that everybody has to say; or set BOXRAY_TOKEN.")
]
Source = Annotated[str | None, typer.Option(help="Link to the source of what runs here, if it is changed (AGPL).")]
Engine = Annotated[EngineName, typer.Option(help="What runs the networks.")]
Compare = Annotated[
    Path | None,
    typer.Option(help="Folder of `boxray compare` for the page Compare; default: the newest in runs/compare."),
]


@app.command("app")
def both_doors(
    address: Address = "127.0.0.1",
    port: Port = 7860,
    host: Host = None,
    root_path: RootPath = "",
    token_file: TokenFile = None,
    source: Source = None,
    engine: Engine = "openvino",
    detector: DetectorChoice = None,
    classifier: ClassifierChoice = None,
    compare: Compare = None,
) -> None:
    """Open the app in a browser at the address that is printed, and REST beside it (same as: python app_gradio.py)."""
    from boxray.cli.demo import examples
    from boxray.serve.app import launch

    where = _where(address, port, host, root_path, token_file, source)
    launch(_service(engine, detector, classifier), examples(), comparisons=compare, **where)


@app.command("rest")
def rest_alone(
    address: Address = "127.0.0.1",
    port: Port = 7861,
    host: Host = None,
    root_path: RootPath = "",
    token_file: TokenFile = None,
    source: Source = None,
    engine: Engine = "openvino",
    detector: DetectorChoice = None,
    classifier: ClassifierChoice = None,
) -> None:
    """Open REST alone, without the app: GET /v1/openapi.json says what there is."""
    from boxray.serve.rest.launch import launch_rest

    where = _where(address, port, host, root_path, token_file, source)
    launch_rest(_service(engine, detector, classifier), **where)


@app.command("pacs")
def archive_door(
    url: Annotated[str, typer.Argument(help="DICOMweb address of the archive: https://pacs.example/dicom-web")],
    every: Annotated[float, typer.Option(min=1, help="Seconds between two looks.")] = 10,
    days: Annotated[int, typer.Option(min=0, help="How many days before today a study may be of.")] = 2,
    modality: Annotated[list[str] | None, typer.Option(help="Of radiographs; default: CR and DX.")] = None,
    ledger: Annotated[Path, typer.Option(help="File of what was read; holds no word of a patient.")] = LEDGER,
    user: Annotated[str | None, typer.Option(help="Who asks, if the archive wants to know.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File with the password of --user; or set BOXRAY_ARCHIVE_PASSWORD.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once, say what became of it, end.")] = False,
    engine: Engine = "openvino",
    detector: DetectorChoice = None,
    classifier: ClassifierChoice = None,
) -> None:
    r"""Read each new radiograph of an archive once; its report goes into its study (extra \[pacs])."""
    from boxray.serve.dicom import require_writer
    from boxray.serve.pacs import Archive, Ledger, Watch
    from boxray.serve.pacs.archive import MODALITIES
    from boxray.serve.server import ended_by_signal, read_login

    require_writer()
    archive = Archive(url, read_login(user, password_file))
    service = _service(engine, detector, classifier)
    watch = Watch(archive, service, Ledger(ledger, service.models), days, modality or MODALITIES)
    if once:
        done = watch.one_round()
        print(", ".join(f"{outcome} {n}" for outcome, n in sorted(done.items())) or "nothing new")
        raise typer.Exit(Exit.PARTLY if done["FAILED"] else Exit.DONE)
    PEOPLE.print(f"boxray reads what comes into {url}  ({DISCLAIMER})  Ctrl+C ends it.", markup=False, highlight=False)
    with ended_by_signal() as stop:
        watch.go_on(every, stop)


@app.callback(invoke_without_command=True)
def _serve(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        both_doors()


def _where(
    address: str, port: int, host: list[str] | None, root_path: str, token_file: Path | None, source: str | None
) -> dict[str, Any]:
    """What both doors take; refused before the models are loaded."""
    from boxray.serve.server import read_token, require_safe

    token = read_token(token_file)
    require_safe(address, token)
    return {
        "address": address,
        "port": port,
        "hosts": host or (),
        "root_path": root_path.rstrip("/"),
        "token": token,
        "source": source,
    }


def _service(engine: EngineName, detector: str | None, classifier: str | None) -> Any:
    from boxray.serve.server import released_or_refused

    return released_or_refused(engine, detector, classifier)
