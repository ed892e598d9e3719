"""What comes out of a machine, as it may be shown."""

import stat

import pytest

from instances.ssh import Entry


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFREG, "file"),
        (stat.S_IFDIR, "dir"),
        (stat.S_IFLNK, "link"),
        (stat.S_IFBLK, "other"),
        (stat.S_IFIFO, "other"),
        (0, "other"),
    ],
)
def test_the_kind_of_an_entry(mode: int, kind: str) -> None:
    assert Entry("name", mode | 0o644, 0, 0, 0, 0).kind == kind


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("plain é 文", "plain é 文"),
        ("<script>", "<script>"),  # whoever makes a page of it escapes
        ("\x1b[31mred", "�[31mred"),
        ("a\nb\rc\x00", "a�b�c�"),
        ("txt.‮gpj", "txt.�gpj"),  # turns the reading round
        ("\udcff", "�"),
        ("a\u2028b\u2029c", "a�b�c"),
        ("\ue000", "�"),
    ],
)
def test_a_label_has_no_odd_signs(name: str, label: str) -> None:
    assert Entry(name, 0, 0, 0, 0, 0).label == label
