"""A folder that cannot be written to is told of before the work, not after it."""

import pytest

from boxray.cli.main import main


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--out", ["compare", "--data", "none"]),
        ("--report", ["detection", "evaluate", "none.onnx", "--data", "none"]),
        ("--report", ["classification", "evaluate", "none.onnx", "--data", "none"]),
        ("--out", ["demo", "none.dcm"]),
        ("--out", ["read", "none.dcm"]),
    ],
    ids=["compare", "detection evaluate", "classification evaluate", "demo", "read"],
)
def test_a_folder_below_a_file_is_refused_before_anything_is_opened(option, command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")

    with pytest.raises(SystemExit) as left:
        main([*command, option, "file/below"])

    said = " ".join(capsys.readouterr().err.split())
    assert left.value.code
    assert f"{option} lies below a file; name a folder that is new or that you may write to" in said
    assert (tmp_path / "file").read_text() == "mine"
