"""Secrets open for their own row only, with a key that is still there."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teams import secrets
from teams.secrets import CannotOpen, key_id, seal, sealed_with_current_key, unseal

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture(autouse=True)
def keys(settings):
    settings.ENCRYPTION_KEYS = [OLD]


@pytest.mark.parametrize("text", ["", "s3cret", "mot de passe é 🛒", "x" * 10_000, "a:b:c"])
def test_what_was_sealed_opens_again(text):
    assert unseal(seal(text, bound_to="row"), bound_to="row") == text


def test_the_token_tells_nothing_and_is_never_the_same():
    tokens = {seal("s3cret", bound_to="row") for _ in range(50)}
    assert len(tokens) == 50
    for token in tokens:
        assert "s3cret" not in token
        assert b"s3cret" not in base64.urlsafe_b64decode(token.split(":")[2])


def test_it_opens_for_its_row_only():
    with pytest.raises(CannotOpen):
        unseal(seal("s3cret", bound_to="row 1"), bound_to="row 2")


def test_a_new_key_in_front_seals_and_the_old_one_still_opens(settings):
    old = seal("s3cret", bound_to="row")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    new = seal("s3cret", bound_to="row")
    assert unseal(old, bound_to="row") == unseal(new, bound_to="row") == "s3cret"
    assert sealed_with_current_key(new) and not sealed_with_current_key(old)
    settings.ENCRYPTION_KEYS = [NEW]
    assert unseal(new, bound_to="row") == "s3cret"
    with pytest.raises(CannotOpen):
        unseal(old, bound_to="row")


def test_the_key_id_does_not_tell_the_key():
    assert len(key_id(OLD)) == 8 and key_id(OLD) != key_id(NEW)
    assert OLD.hex()[:8] != key_id(OLD)


@given(st.data())
def test_a_changed_token_does_not_open(data):
    from django.conf import settings

    settings.ENCRYPTION_KEYS = [OLD]
    token = secrets.seal("s3cret", bound_to="row")
    version, key, body = token.split(":")
    raw = bytearray(base64.urlsafe_b64decode(body))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        unseal(f"{version}:{key}:{base64.urlsafe_b64encode(raw).decode()}", bound_to="row")


@given(st.text(max_size=60))
def test_nonsense_does_not_open(token):
    with pytest.raises(CannotOpen):
        unseal(token, bound_to="row")


def test_another_version_does_not_open():
    with pytest.raises(CannotOpen):
        unseal(seal("s3cret", bound_to="row").replace("v1:", "v2:", 1), bound_to="row")


def test_a_veiled_secret_shows_in_a_page_only():
    veiled = secrets.Veiled("s3cret<>")
    assert str(veiled) == "s3cret<>" and veiled
    for shown in (repr(veiled), repr({"password": veiled}), f"{veiled!r}", repr([veiled])):
        assert "s3cret" not in shown
    from django.template import Context, Template

    assert Template("{{ it }}").render(Context({"it": veiled})) == "s3cret&lt;&gt;"
