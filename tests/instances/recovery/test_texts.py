"""A file's text on its way through a browser and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.recovery import texts
from instances.recovery.work import CannotDo

FILES = st.lists(st.sampled_from(["a", "b", "é", "\t", "\n", "\r\n"]), max_size=14).map(
    lambda parts: "".join(parts).encode()
)


@given(FILES)
def test_what_was_not_changed_comes_back_byte_for_byte(before):
    sent = texts.plain(before).replace("\n", "\r\n")
    assert texts.edited(before, sent) == before


@given(FILES, st.text("ab\n", max_size=9))
def test_the_text_is_the_one_that_was_sent(before, sent):
    assert texts.plain(texts.edited(before, sent)) == sent


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        (b"a\r\nb\r\n", "a\nx\nb\n", b"a\r\nx\r\nb\r\n"),
        (b"a\r\nb", "a\nb\nc\n", b"a\r\nb\r\nc\r\n"),
        (b"a\nb\r\nc\n", "a\nx\nb\nc\n", b"a\nx\nb\r\nc\n"),
        (b"a\nb", "a\nc", b"a\nc"),
        (b"", "a\n", b"a\n"),
    ],
)
def test_line_ends_are_the_files_own(before, sent, after):
    assert texts.edited(before, sent) == after


@pytest.mark.parametrize("fine", [b"", b"\tx\x0c\n", "é\u202f\n".encode(), b"a\r\nb"])
def test_texts_are_texts(fine):
    texts.must_be_text(fine, "/x")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"a\0", "edit_binary"), (b"\xff\0", "edit_binary"), (b"\x1b[0m", "edit_binary"),
        (b"\xc2\x9b0m", "edit_binary"), (b"a\rb", "edit_binary"), (b"\xe9", "edit_not_utf8"),
        (b"x" * (texts.LARGEST + 1), "edit_too_large"),
        (b"-----BEGIN RSA PRIVATE KEY-----\n", "edit_secret"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(data, code):
    with pytest.raises(CannotDo) as refusal:
        texts.must_be_text(data, "/x")
    assert refusal.value.code == code
