"""Start the reading room: ``python app_gradio.py`` is ``boxray serve app`` and takes its options."""

import sys

from boxray.cli.main import main

if __name__ == "__main__":
    main(["serve", "app", *sys.argv[1:]])
