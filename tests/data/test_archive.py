"""Unpacking archives of strangers: all or nothing, inside the folder, within limits."""

import io
import stat
import struct
import unicodedata
import zipfile
from dataclasses import replace

import pytest

from boxray.core.errors import DataError
from boxray.data.archive import DEFAULT, extract, unpacked, unsafe_members

SMALL = replace(DEFAULT, free_bytes=1000)


def archive_of(path, *members, method=zipfile.ZIP_DEFLATED):
    """A zip file of names and contents; a `ZipInfo` may stand for a name."""
    with zipfile.ZipFile(path, "w", method) as opened:
        for member, data in members:
            opened.writestr(member, data)
    return path


def a_member(name, kind=stat.S_IFREG, **changes):
    info = zipfile.ZipInfo("x")
    info.filename = name  # the constructor would cut at a zero byte
    info.external_attr = (kind | 0o644) << 16
    for key, value in changes.items():
        setattr(info, key, value)
    return info


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_safe_archive_becomes_a_folder_with_the_same_bytes_d11(tmp_path):
    members = [("set/images/a b.png", b"\x89PNG\0"), ("set/labels/a b.txt", b""), ("set/empty/", b"")]
    archive = archive_of(tmp_path / "set.zip", *members)

    extract(archive, tmp_path / "out")

    assert unsafe_members(archive) == []
    for name, data in members[:2]:
        assert (tmp_path / "out" / name).read_bytes() == data
    assert (tmp_path / "out" / "set" / "empty").is_dir()
    assert left_in(tmp_path) == ["out", "set.zip"]


def test_an_archive_without_members_is_an_empty_folder_d11(tmp_path):
    extract(archive_of(tmp_path / "set.zip"), tmp_path / "out")

    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        pytest.param("../out.txt", "path with '..'", id="above_d11"),
        pytest.param("a/../../out.txt", "path with '..'", id="above_by_a_detour_d11"),
        pytest.param("/etc/out.txt", "absolute path", id="absolute_d11"),
        pytest.param("C:/out.txt", "absolute path", id="drive_d11"),
        pytest.param("a\\..\\out.txt", "backslash", id="backslash_d11"),
        pytest.param("a/./b", "empty part", id="dot_d11"),
        pytest.param("a//b", "empty part", id="double_slash_d11"),
        pytest.param("a\nb.txt", "does not print", id="end_of_line_in_a_name_d11"),
        pytest.param("x" * 256, "more than 255 bytes", id="name_too_long_d11"),
        pytest.param(a_member("link", stat.S_IFLNK), "is a link", id="link_d11"),
        pytest.param(a_member("pipe", stat.S_IFIFO), "no plain file", id="pipe_d11"),
        pytest.param(a_member("device", stat.S_IFBLK), "no plain file", id="device_d11"),
        pytest.param(a_member("a.bz2", compress_type=zipfile.ZIP_BZIP2), "another method", id="method_d11"),
    ],
)
def test_a_member_that_is_not_to_be_trusted_refuses_the_whole_archive(tmp_path, member, reason):
    archive = archive_of(tmp_path / "set.zip", ("good.txt", "x"), (member, "/etc/passwd"))

    ((name, why),) = unsafe_members(archive)

    assert reason in why
    assert name == (member if isinstance(member, str) else member.filename)
    with pytest.raises(DataError, match=r"archive\.unsafe: member .* nothing was unpacked"):
        extract(archive, tmp_path / "out")
    assert left_in(tmp_path) == ["set.zip"]


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        pytest.param("a.txt", "A.TXT", "only in case", id="case_d11"),
        pytest.param("é.txt", unicodedata.normalize("NFD", "é.txt"), "Unicode form", id="unicode_form_d11"),
        pytest.param("a", "a/b.txt", "is a file of the archive too", id="file_and_folder_d11"),
        pytest.param("a", "A/b/c.txt", "is a file of the archive too", id="file_and_folder_in_another_case_d11"),
    ],
)
def test_members_that_would_overwrite_each_other_refuse_the_archive(tmp_path, one, other, reason):
    archive = archive_of(tmp_path / "set.zip", (one, "x"), (other, "y"))

    assert [reason in why for _, why in unsafe_members(archive)] == [True]


def test_a_name_that_is_there_twice_refuses_the_archive_d11(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = archive_of(tmp_path / "set.zip", ("a", "x"), ("a", "y"))

    assert unsafe_members(archive) == [("a", "is there twice")]


def test_an_encrypted_member_refuses_the_archive_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("a.txt", "x"))
    data = bytearray(archive.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[directory + 8] |= 1
    archive.write_bytes(data)

    assert [why for _, why in unsafe_members(archive)] == ["is encrypted; unpack it yourself if you trust it"]


def test_a_zero_byte_in_a_name_refuses_the_archive_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("a.txtX.png", "x"))
    archive.write_bytes(archive.read_bytes().replace(b"a.txtX", b"a.txt\0"))

    assert [why for _, why in unsafe_members(archive)] == ["has no name, or one with a zero byte"]


def test_more_members_or_bytes_than_the_limit_refuse_the_archive_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", *((f"{n}.txt", "12345") for n in range(5)))

    assert unsafe_members(archive, replace(DEFAULT, members=5, total_bytes=25)) == []
    assert unsafe_members(archive, replace(DEFAULT, members=4)) == [("", "5 members, at most 4 are unpacked")]
    assert unsafe_members(archive, replace(DEFAULT, total_bytes=24)) == [
        ("", "unpacks to 25 bytes, at most 24 are unpacked")
    ]


def test_a_bomb_is_refused_by_its_ratio_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("bomb.bin", bytes(20 * 2**20)))

    wrong = unsafe_members(archive)

    assert [name for name, _ in wrong] == ["", "bomb.bin"]
    assert all("a bomb?" in why for _, why in wrong)
    with pytest.raises(DataError, match=r"archive\.unsafe: unpacks to \d{3,4} times its size.*and 1 more faults"):
        extract(archive, tmp_path / "out")
    assert left_in(tmp_path) == ["set.zip"]


def test_an_upload_of_more_members_than_the_limit_is_refused_before_an_object_is_made_of_each(tmp_path, monkeypatch):
    """Each costs 47 bytes of an upload, and some 450 of memory once `zipfile` has looked at it."""
    upload = archive_of(tmp_path / "a.zip", *((f"{number}.txt", b"") for number in range(20))).read_bytes()
    assert len(unpacked(upload, replace(DEFAULT, members=20))) == 20

    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert unsafe_members(upload, replace(DEFAULT, members=19)) == [
        ("", "more than 19 members, or archives among them")
    ]
    with pytest.raises(DataError, match=r"archive\.unsafe: more than 19 members"):
        unpacked(upload, replace(DEFAULT, members=19))


def test_a_bomb_of_many_small_members_is_refused_as_a_whole_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", *((f"{n}", bytes(2**20)) for n in range(8)))

    assert [name for name, _ in unsafe_members(archive)] == [""]


def test_a_small_mask_that_packs_to_nothing_is_no_bomb_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("mask.png", bytes(500_000)), ("noise.bin", bytes(range(256)) * 40))

    assert unsafe_members(archive) == []


def test_members_that_share_their_bytes_are_refused_d11(tmp_path):
    """As in David Fifield's bomb of 2019: one block of packed bytes, named many times in the directory."""
    archive = archive_of(tmp_path / "set.zip", ("a", "x" * 50), ("b", "x" * 50))
    data = bytearray(archive.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)  # where its bytes begin: at those of the first
    archive.write_bytes(data)

    assert [why for _, why in unsafe_members(archive)] == ["shares its bytes with another member: a bomb"]


@pytest.mark.parametrize("harm", ["text", "cut", "nothing"])
def test_what_is_no_zip_file_is_refused_d11(tmp_path, harm):
    archive = archive_of(tmp_path / "set.zip", ("a.txt", "x" * 100))
    archive.write_bytes({"text": b"Dear colleague", "cut": archive.read_bytes()[:-10], "nothing": b""}[harm])

    ((name, why),) = unsafe_members(archive)

    assert (name, why) == ("", "not a zip file, or a damaged one (BadZipFile)")


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert unsafe_members(tmp_path / "gone.zip") == [("", "the file cannot be read (FileNotFoundError)")]


def test_a_damaged_member_leaves_nothing_behind_d11(tmp_path):
    """The first member is whole and written before the second turns out damaged."""
    archive = archive_of(tmp_path / "set.zip", ("a.txt", "x"), ("b.txt", "y" * 100), method=zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"yyyy", b"yYyy", 1))

    assert unsafe_members(archive) == []
    with pytest.raises(DataError, match=r"archive\.unsafe: a member is damaged \(Bad CRC-32"):
        extract(archive, tmp_path / "out")
    assert left_in(tmp_path) == ["set.zip"]


def test_a_member_that_is_longer_than_it_says_is_not_written_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("a.txt", bytes(5000)), ("b.txt", "x"))
    data = archive.read_bytes()
    size, lie = struct.pack("<I", 5000), struct.pack("<I", 100)
    archive.write_bytes(data.replace(size, lie))

    with pytest.raises(DataError, match=r"archive\.unsafe: "):
        extract(archive, tmp_path / "out", SMALL)
    assert left_in(tmp_path) == ["set.zip"]


def test_what_is_there_already_is_not_touched_d11(tmp_path):
    archive = archive_of(tmp_path / "set.zip", ("a.txt", "new"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")

    with pytest.raises(DataError, match="out is there already"):
        extract(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="link is there already"):
        extract(archive, tmp_path / "link")


def test_a_disk_without_room_is_told_before_anything_is_written_d11(tmp_path, monkeypatch):
    archive = archive_of(tmp_path / "set.zip", ("a.txt", "12345"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4}))

    with pytest.raises(DataError, match="unpacks to 5 bytes, the disk has 4 left"):
        extract(archive, tmp_path / "out")
    assert left_in(tmp_path) == ["set.zip"]


def test_an_archive_inside_the_archive_stays_packed_d11(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as opened:
        opened.writestr("../out.txt", "x")
    archive = archive_of(tmp_path / "set.zip", ("inner.zip", inner.getvalue()))

    extract(archive, tmp_path / "out")

    assert left_in(tmp_path / "out") == ["inner.zip"]
