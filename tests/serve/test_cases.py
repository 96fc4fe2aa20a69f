import pytest

from boxray.serve.cases import Cases, Shown


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def a_picture(n_bytes: int) -> Shown:
    return Shown(b"p" * n_bytes, b"", (), (0, 0), 0.0)


def test_who_knows_an_id_sees_his_case_and_ids_are_not_to_be_guessed():
    cases = Cases()
    first, second = cases.add("one", "a.dcm", b"a"), cases.add("two", "b.dcm", b"b")

    assert cases.find(first).data == b"a"
    assert cases.find(second).data == b"b"
    assert len(first) >= 22  # 128 bits


def test_a_desk_that_brings_too_much_loses_what_it_used_longest_ago_and_takes_nothing_from_others():
    cases = Cases(desk_bytes=10)
    other = cases.add("other", "x", b"x" * 10)
    first, second = cases.add("own", "a", b"a" * 4), cases.add("own", "b", b"b" * 4)
    cases.find(first)
    third = cases.add("own", "c", b"c" * 4)

    with pytest.raises(KeyError):
        cases.find(second)
    assert [cases.find(each).name for each in (other, first, third)] == ["x", "a", "c"]


def test_all_desks_together_hold_no_more_than_their_limit():
    cases = Cases(all_bytes=10)
    ids = [cases.add(str(number), "a", b"a" * 4) for number in range(5)]

    assert len(cases) == 2
    assert [cases.find(each).data for each in ids[-2:]] == [b"aaaa", b"aaaa"]


def test_a_file_beyond_the_limit_stays_while_it_is_the_newest():
    cases = Cases(desk_bytes=10)
    cases.add("own", "small", b"a")
    large = cases.add("own", "large", b"a" * 20)

    assert len(cases) == 1
    assert cases.find(large).name == "large"


def test_a_desk_holds_so_many_files():
    cases = Cases(desk_cases=3)
    for _ in range(7):
        cases.add("own", "a", b"")

    assert len(cases) == 3


def test_what_nobody_used_for_long_goes():
    clock = Clock()
    cases = Cases(keep_s=100, clock=clock)
    used, unused = cases.add("own", "a", b""), cases.add("own", "b", b"")
    clock.now = 60
    cases.find(used)
    clock.now = 120

    cases.forget_the_old()

    assert cases.find(used).name == "a"
    with pytest.raises(KeyError):
        cases.find(unused)


def test_of_the_pictures_only_those_opened_last_stay_and_the_files_stay_all():
    cases = Cases(shown_bytes=25)
    opened = [cases.find(cases.add("own", str(number), b"file")) for number in range(4)]

    for case in opened:
        cases.show(case, a_picture(10))

    assert [case.shown is not None for case in opened] == [False, False, True, True]
    assert len(cases) == 4
    assert cases.n_bytes == 4 * 4 + 2 * 10


def test_the_picture_that_is_opened_stays_however_large():
    cases = Cases(shown_bytes=25)
    case = cases.find(cases.add("own", "a", b""))

    cases.show(case, a_picture(100))

    assert case.shown is not None


def test_a_case_that_was_dropped_is_gone():
    cases = Cases()
    case_id = cases.add("own", "a", b"")

    cases.drop(case_id)

    with pytest.raises(KeyError):
        cases.find(case_id)
