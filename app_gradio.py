"""Start the reading room: ``python app_gradio.py`` is ``boxray serve app``."""

from boxray.core.bench import bench_folder
from boxray.serve.app import main

if __name__ == "__main__":
    main(sorted(path for path in bench_folder("data/examples").iterdir() if path.suffix in {".dcm", ".jpg", ".png"}))
