"""REST alone, in a process without Gradio."""

import sys
from collections.abc import Collection
from typing import NoReturn

from boxray.serve.rest.app import build_rest
from boxray.serve.server import guarded, require_safe, serve
from boxray.serve.service import Service


def launch_rest(
    service: Service,
    *,
    address: str = "127.0.0.1",
    port: int = 7861,
    source: str | None = None,
    token: str | None = None,
    hosts: Collection[str] = (),
    root_path: str = "",
) -> NoReturn:
    """Serve until SIGTERM or Ctrl+C; the arguments are those of `boxray.serve.app.launch`.

    Raises:
        SystemExit: As there.
    """
    require_safe(address, token)
    doors = guarded(build_rest(service, source=source), address, token=token, hosts=hosts)
    sys.exit(serve(doors, service, address=address, port=port, root_path=root_path))
