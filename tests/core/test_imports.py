"""Importing has no effect and brings nothing heavy. Asked of a fresh interpreter, because here all is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import boxray.core

HEAVY = {"torch", "torchvision", "ultralytics", "fiftyone", "gradio", "openvino", "onnxruntime", "httpx"}

LOADED = """
import json, sys
before = set(sys.modules)
import {module}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def loaded_by(module):
    """Top-level names of what an import brings, beyond what the interpreter has anyway."""
    code = LOADED.format(module=module)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=200)
    return set(json.loads(done.stdout))


def test_the_core_loads_the_standard_library_and_numpy():
    core = Path(boxray.core.__file__).parent
    places = (path for path in core.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())
    modules = sorted(path.stem for path in places if path.stem != "__init__")

    brought = loaded_by(", ".join(f"boxray.core.{module}" for module in modules))

    assert {name for name in brought if name not in sys.stdlib_module_names} == {"boxray", "numpy"}


def test_the_root_package_loads_at_most_numpy():
    brought = loaded_by("boxray")

    assert {name for name in brought if name not in sys.stdlib_module_names} <= {"boxray", "numpy"}


def test_the_version_is_looked_up_only_when_it_is_asked_for():
    code = (
        "import sys, boxray\n"
        "assert 'importlib.metadata' not in sys.modules\n"
        "assert boxray.__version__[0].isdigit() and not hasattr(boxray, '__versions__')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=200)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "boxray.data.build, boxray.data.datasets_file",
        "boxray.runs.recipe, boxray.runs.run",
        "boxray.weights, boxray.engines",
    ],
)
def test_building_recipes_weights_and_engines_load_no_model_library(module):
    assert not loaded_by(module) & HEAVY


def test_importing_touches_no_random_state_and_no_environment():
    code = (
        "import os, random, numpy\n"
        "numpy.random.seed(5); random.seed(5); before = dict(os.environ), random.getstate()\n"
        "expected = numpy.random.RandomState(5).random()\n"
        "import boxray.core.metrics, boxray.runs.run, boxray.engines, boxray.weights\n"
        "assert (dict(os.environ), random.getstate()) == before\n"
        "assert numpy.random.random() == expected\n"
    )

    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=200)

    assert done.returncode == 0, done.stderr
