"""What a run folder keeps of each epoch."""

from pathlib import Path

from boxray.runs.step import EPOCHS, Step, kept_in, tell_nobody


def lines(folder: Path) -> list[str]:
    return (folder / EPOCHS).read_text().splitlines()


def test_a_row_is_written_when_an_epoch_ends_and_every_step_is_told_on(tmp_path: Path) -> None:
    told: list[Step] = []
    tell = kept_in(tmp_path, told.append)

    tell(Step(1, 2, 1, 2, {"box": 3.0, "class": 1.0}))
    assert not (tmp_path / EPOCHS).exists()
    tell(Step(1, 2, 2, 2, {"box": 2.5, "class": 0.5}))

    assert lines(tmp_path) == ["epoch,box,class", "1,2.5,0.5"]
    assert [step.batch for step in told] == [1, 2]


def test_an_epoch_that_is_trained_again_takes_the_place_of_its_row(tmp_path: Path) -> None:
    tell = kept_in(tmp_path, tell_nobody)
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.5)):
        tell(Step(epoch, 3, 1, 1, {"loss": loss}))

    kept_in(tmp_path, tell_nobody)(Step(2, 3, 1, 1, {"loss": 1.75}))

    assert lines(tmp_path) == ["epoch,loss", "1,3", "2,1.75"]


def test_a_loss_that_only_some_epochs_have_has_a_column_and_ends_no_training(tmp_path: Path) -> None:
    tell = kept_in(tmp_path, tell_nobody)

    tell(Step(1, 3, 1, 1, {"loss": 3.0, "maps": 1.0}))
    tell(Step(2, 3, 1, 1, {"loss": 2.0}))
    tell(Step(3, 3, 1, 1, {"loss": 1.0, "lungs": 0.5}))

    assert lines(tmp_path) == ["epoch,loss,maps,lungs", "1,3,1,", "2,2,,", "3,1,,0.5"]
