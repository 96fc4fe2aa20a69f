"""A page with a place for a file, mounted as boxray's own: what Gradio would hand to it, it hands out."""

import logging
import sys
from pathlib import Path

from boxray.serve.app import mounted, quiet_environment
from boxray.serve.rest.app import sweeping
from boxray.serve.server import guarded, serve
from serve.reading_room import tell_who_is_asked
from serve.rest_room import Room


def main() -> int:
    quiet_environment()
    import gradio as gr

    tell_who_is_asked()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    room = Room()
    with gr.Blocks() as app:
        file, choice, text = gr.File(type="filepath"), gr.Radio(["a"]), gr.Textbox()
        file.change(lambda path: Path(path).read_text(), file, text)
        choice.change(str, choice, text)
    doors = guarded(mounted(app, sweeping(room.readings), {}), "127.0.0.1", token=None, hosts=())
    return serve(doors, room.service, address="127.0.0.1", port=0)


if __name__ == "__main__":
    sys.exit(main())
