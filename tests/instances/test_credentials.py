"""Reading clouds.yaml and openrc: what people paste, and what somebody might."""

import subprocess

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from instances import credentials
from instances.credentials import CannotRead, clouds_in, from_cloud, from_fields, from_openrc

OPENSTACKS_OWN = """#!/usr/bin/env bash
# To use an OpenStack cloud you need to authenticate against the Identity
# service named keystone, which returns a **Token** and **Service Catalog**.
export OS_AUTH_URL=https://auth.example.net:5000/v3
export OS_PROJECT_ID=7ea123
export OS_PROJECT_NAME="Acme's project"
export OS_USER_DOMAIN_NAME="Default"
if [ -z "$OS_USER_DOMAIN_NAME" ]; then unset OS_USER_DOMAIN_NAME; fi
export OS_PROJECT_DOMAIN_ID="default"
if [ -z "$OS_PROJECT_DOMAIN_ID" ]; then unset OS_PROJECT_DOMAIN_ID; fi
# unset v2.0 items in case set
unset OS_TENANT_ID
unset OS_TENANT_NAME
export OS_USERNAME="alice"
# With Keystone you pass the keystone password.
echo "Please enter your OpenStack Password for project $OS_PROJECT_NAME as user $OS_USERNAME: "
read -sr OS_PASSWORD_INPUT
export OS_PASSWORD=$OS_PASSWORD_INPUT
export OS_REGION_NAME="GRA11"
# Don't leave a blank variable, unset it if it was empty
if [ -z "$OS_REGION_NAME" ]; then unset OS_REGION_NAME; fi
export OS_INTERFACE=public
export OS_IDENTITY_API_VERSION=3
"""
APPLICATION = """#!/usr/bin/env bash

export OS_AUTH_TYPE=v3applicationcredential
export OS_AUTH_URL=https://auth.example.net/v3
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME="GRA11"
export OS_INTERFACE=public
export OS_APPLICATION_CREDENTIAL_ID=abc
export OS_APPLICATION_CREDENTIAL_SECRET='s3cr$t`(x)'
"""


def refused(read, *args):
    with pytest.raises(CannotRead) as caught:
        read(*args)
    return str(caught.value.sentence)


# openrc -----------------------------------------------------------------------------------------


def test_openstacks_own_openrc_lacks_the_password():
    found = from_openrc(OPENSTACKS_OWN)
    assert found.missing == ("password",) and found.region_name == "GRA11"
    assert found.credential == {"auth_type": "v3password", "auth": {
        "auth_url": "https://auth.example.net:5000/v3", "project_id": "7ea123",
        "project_name": "Acme's project", "project_domain_id": "default",
        "user_domain_name": "Default", "username": "alice",
    }}  # fmt: skip
    typed = found.with_secret("p a$$w")
    assert typed.missing == () and typed.credential["auth"]["password"] == "p a$$w"
    assert found.with_secret("").missing == ("password",)


def test_an_application_credentials_openrc():
    found = from_openrc(APPLICATION)
    assert found.missing == () and found.credential["auth_type"] == "v3applicationcredential"
    assert found.credential["auth"]["application_credential_secret"] == "s3cr$t`(x)"


VALUES = {
    "plain": "plain",
    '"two words"': "two words",
    "'single $HOME'": "single $HOME",
    r'"a\"b"': 'a"b',
    r'"a\$b"': "a$b",
    r"a\ b": "a b",
    '"it\'s"': "it's",
    "'a'\"b\"c": "abc",
    "a#b": "a#b",
    "a # why": "a",
    '"#no"': "#no",
    "$OS_USERNAME": "alice",
    '"${OS_USERNAME}-x"': "alice-x",
    "$": "$",
    '"5$"': "5$",
    "été": "été",
    "a;": "a",
    "';'": ";",
    '"a;b";': "a;b",
    "a; export OS_REGION_NAME=r": "a",
}


@pytest.mark.parametrize("written", VALUES)
def test_a_value_is_what_the_shell_would_make_of_it(written):
    text = f"OS_USERNAME=alice\nexport OS_PASSWORD={written}"
    assert from_openrc(text).credential["auth"]["password"] == VALUES[written]
    said = subprocess.run(
        ["bash", "-c", f"{text}\nprintf %s \"$OS_PASSWORD\""], capture_output=True, text=True
    )  # fmt: skip
    assert said.stdout == VALUES[written]  # the table itself is true


COMMANDS = ["$(cat /etc/passwd)", '"$(id)"', "`id`", '"`id`"', "a$(id)b", '"${OS_X}$(id)"']


@pytest.mark.parametrize("value", COMMANDS)
def test_a_command_is_refused_with_the_reason(value, tmp_path):
    sentence = refused(from_openrc, f"export OS_USERNAME=x\nexport OS_PASSWORD={value}")
    assert sentence.startswith("Line 2 would run a command") and "never runs" in sentence


def test_nothing_is_ever_run(tmp_path):
    mark = tmp_path / "mark"
    text = f"touch {mark}\nexport OS_USERNAME=x; touch {mark}\n"
    assert from_openrc(text).credential["auth"]["username"] == "x"
    refused(from_openrc, f"export OS_USERNAME=$(touch {mark})")
    assert not mark.exists()


def test_older_names():
    found = from_openrc(
        "OS_TENANT_NAME=p\nOS_USERNAME=u\nOS_PASSWORD=w\nOS_AUTH_URL=https://k/v2.0"
    )
    auth = found.credential["auth"]
    assert auth["project_name"] == "p" and auth["auth_url"] == "https://k/v3"
    assert auth["user_domain_id"] == auth["project_domain_id"] == "default"


NOT_OPENRC = {
    "": "There is no line",
    "hello": "There is no line",
    "export HOME=/": "There is no line",
    'export OS_PASSWORD="abc': "Line 1: a quote",
    "export OS_USERNAME=\ue000": "characters that no openrc has",
    "export OS_USERNAME=a\x07b": "has characters",
    "export OS_TOKEN=abc\nexport OS_AUTH_URL=https://k": "needs a person",
    "export OS_AUTH_TYPE=v3oidcpassword": "needs a person",
    "x" * 70_000: "longer than any",
}


@pytest.mark.parametrize("text", NOT_OPENRC, ids=range(len(NOT_OPENRC)))
def test_what_is_no_openrc(text):
    assert NOT_OPENRC[text] in refused(from_openrc, text)


# clouds.yaml ------------------------------------------------------------------------------------

CLOUDS = """
clouds:
  one: &one
    auth:
      auth_url: "https://k:5000"
      username: 007
      password: yes
      project_name: 0123
    region_name: R
  two:
    <<: *one
    region_name: S
  three:
    auth_type: v3applicationcredential
    auth: {auth_url: https://k/v3, application_credential_id: a, application_credential_secret: b}
    regions: [GRA, {name: SBG}]
"""


def test_scalars_are_read_as_they_were_written():
    found = {name: from_cloud(cloud) for name, cloud in clouds_in(CLOUDS).items()}
    auth = found["one"].credential["auth"]
    assert (auth["username"], auth["password"], auth["project_name"]) == ("007", "yes", "0123")
    assert auth["auth_url"] == "https://k:5000/v3"
    assert found["two"].region_name == "S" and found["two"].credential == found["one"].credential
    assert found["three"].region_name == "GRA" and found["three"].missing == ()


def test_unchecked_certificates_are_refused():
    sentence = refused(from_cloud, {"auth": {"auth_url": "https://k"}, "verify": "False"})
    assert "always checks certificates" in sentence


def test_paths_and_other_options_are_not_taken_over():
    cloud = clouds_in(CLOUDS.replace("region_name: R", "cacert: /etc/shadow\n    cert: /x"))["one"]
    assert set(from_cloud(cloud).credential) == {"auth_type", "auth"}


def test_what_is_missing_is_named():
    assert from_cloud({"auth": {"username": "u"}}).missing == (
        "auth_url", "project_name", "password",
    )  # fmt: skip
    kind = {"auth_type": "v3applicationcredential", "auth": {"auth_url": "https://k"}}
    assert from_cloud(kind).missing == (
        "application_credential_id", "application_credential_secret",
    )  # fmt: skip
    assert from_fields("", "", "").missing[0] == "auth_url"
    assert set(from_fields("", "", "").missing) <= set(credentials.MISSING)


def bomb(depth=30):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return "\n".join(lines)


NOT_CLOUDS = {
    "": "no cloud in this text",
    "clouds:": "no cloud in this text",
    "clouds: 3": "no cloud in this text",
    "- a": "no cloud in this text",
    "clouds:\n  a: b: c": "Line 2 is not YAML",
    "clouds: {a: {auth: !!python/object/apply:os.system [id]}}": "Line 1 is not YAML",
    "\x00": "not YAML",
    "[" * 60_000: "not YAML",
    bomb(): "refers to itself",
    "x" * 70_000: "longer than any",
}


@pytest.mark.parametrize("text", NOT_CLOUDS, ids=range(len(NOT_CLOUDS)))
def test_what_is_no_clouds_yaml(text):
    assert NOT_CLOUDS[text] in refused(clouds_in, text)


def test_a_cloud_that_refers_to_itself_can_be_read():
    (cloud,) = clouds_in("clouds: {a: &a {auth: {auth_url: https://k}, again: *a}}").values()
    assert from_cloud(cloud).credential["auth"] == {"auth_url": "https://k/v3"}


# Anything at all --------------------------------------------------------------------------------

PIECES = st.lists(
    st.sampled_from(
        "export OS_PASSWORD= OS_AUTH_URL=https://k clouds: auth: \n \n\n \" ' $( ` ${ } \\ # ; & * "
        "<<: - [ ] { } !! | > : a x é \t 0".split(" ")
    ),
    max_size=40,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), PIECES))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    for read in (from_openrc, clouds_in):
        try:
            found = read(text)
        except CannotRead as error:
            assert str(error.sentence)
        else:
            for cloud in found.values() if isinstance(found, dict) else ():
                try:
                    from_cloud(cloud)
                except CannotRead as error:
                    assert str(error.sentence)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\ue000"), min_size=1)
)
def test_any_secret_comes_through_whole(secret):
    import shlex

    given_by_shell = from_openrc(f"export OS_PASSWORD={shlex.quote(secret)}")
    assert given_by_shell.credential["auth"]["password"] == secret
    text = yaml.safe_dump({"clouds": {"a": {"auth": {"password": secret}}}}, allow_unicode=True)
    assert from_cloud(clouds_in(text)["a"]).credential["auth"]["password"] == secret
    assert secret not in repr(given_by_shell) or len(secret) < 4


KEYS = ["auth", "auth_url", "password", "region_name", "verify", "regions", "name"]


def _branches(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.text(max_size=9), _branches, max_leaves=12))
def test_any_tree_is_read_or_refused(tree):
    try:
        from_cloud(tree if isinstance(tree, dict) else {"auth": tree})
    except CannotRead as error:
        assert str(error.sentence)
