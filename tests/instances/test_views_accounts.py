"""The pages of cloud accounts, against the look-alike over real HTTP."""

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from instances.models import CloudMirror
from teams.models import AuditEntry, CloudAccount
from tests.instances import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo", "fresh_connections")]
SECRET = "application_credential_secret"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch):
    """Let a test of the pages test clouds as often as it likes."""
    monkeypatch.setattr("instances.views.accounts.TESTS_A_MINUTE", 10_000)


@pytest.fixture
def owner(client, alice, teams):
    client.force_login(alice)
    return client


def at(name, *args):
    return reverse(f"instances:{name}", args=args)


@pytest.fixture
def fields(credential):
    """The form as one would fill it in, with an application credential."""

    def fill(which="acme", **changes):
        auth = credential(which)["auth"]
        usual = {"name": "Production", "way": "application", "region_name": "Demo-GRA"}
        return usual | auth | changes

    return fill


@pytest.fixture
def clouds_yaml(credential):
    """A clouds.yaml with these ways in; without the secret where so wanted."""

    def write(*names, secret=True):
        clouds = {}
        for name in names:
            found = credential(name)
            auth = {k: v for k, v in found["auth"].items() if secret or k != SECRET}
            kind = found["auth_type"]
            clouds[name] = {"auth_type": kind, "auth": auth, "region_name": "Demo-GRA"}
        return yaml.safe_dump({"clouds": clouds})

    return write


def openrc(democloud, password=""):
    lines = {
        "OS_AUTH_URL": democloud, "OS_PROJECT_NAME": "acme", "OS_USERNAME": "alice",
        "OS_REGION_NAME": "Demo-GRA",
    }  # fmt: skip
    text = "".join(f'export {name}="{value}"\n' for name, value in lines.items())
    return (
        f"{text}read -sr OS_PASSWORD_INPUT\nexport OS_PASSWORD={password or '$OS_PASSWORD_INPUT'}"
    )


@pytest.fixture
def connect(owner, teams):
    def post(data, **more):
        return owner.post(at("account_connect", teams.acme.pk), data, **more)

    return post


@pytest.fixture
def production(connect, fields):
    assert connect(fields()).status_code == 302
    return CloudAccount.objects.get(name="Production")


def said(answer):
    """What was answered; no secret of the look-alike's is ever in it."""
    text = answer.content.decode()
    assert "demo-secret" not in text
    return text


# Connect ----------------------------------------------------------------------------------------


def test_connect(owner, teams, production, fields):
    mirror = CloudMirror.objects.get(account=production)
    assert production.region_name == "Demo-GRA" and mirror.project_id and mirror.microversion
    page = said(owner.get(at("account", teams.acme.pk, production.pk)))
    assert "Signed in to the project" in page and "Demo-SBG" in page
    assert fields()[SECRET] not in page
    listed = said(owner.get(at("accounts", teams.acme.pk)))
    assert "Production" in listed and "Being read" in listed and "tested" in listed


def test_the_form_opens_with_the_application_credential(owner, teams):
    page = said(owner.get(at("account_connect", teams.acme.pk)))
    assert 'value="application"' in page and 'enctype="multipart/form-data"' in page
    assert page.count('type="password"') == 3


def test_a_secret_that_was_refused_is_not_shown_again(connect, fields):
    answer = connect(fields(**{SECRET: "my-wrong-secret"}))
    page = said(answer)
    assert answer.status_code == 422 and "my-wrong-secret" not in page
    assert "the secret is wrong, or the credential has expired" in page and 'role="alert"' in page
    assert fields()["application_credential_id"] in page  # what is no secret stays
    assert not CloudAccount.objects.exists() and not AuditEntry.objects.exists()


def test_what_is_missing_is_said_beside_its_field(connect, fields):
    answer = connect(fields(name="", auth_url="", **{SECRET: ""}))
    assert answer.status_code == 422 and set(answer.context["form"].errors) == {"name"}
    answer = connect(fields(auth_url="", **{SECRET: ""}))
    assert set(answer.context["form"].errors) == {"auth_url", SECRET}
    assert 'aria-invalid="true"' in said(answer) and 'id="id_auth_url_error"' in said(answer)


def test_an_unknown_way_is_refused(connect, fields):
    assert connect(fields(way="ssh")).status_code == 422
    assert connect({}).status_code == 422


def test_by_clouds_yaml(connect, clouds_yaml):
    data = {"name": "By text", "way": "clouds_yaml", "clouds_yaml": clouds_yaml("acme")}
    assert connect(data).status_code == 302
    assert CloudAccount.objects.get().region_name == "Demo-GRA"


def test_by_the_file_of_a_clouds_yaml(connect, clouds_yaml):
    file = SimpleUploadedFile("clouds.yaml", clouds_yaml("acme").encode())
    data = {"name": "By file", "way": "clouds_yaml", "clouds_file": file}
    assert connect(data).status_code == 302


def test_one_of_several_clouds_is_chosen(connect, clouds_yaml, credential):
    text = clouds_yaml("acme", "othercorp")
    data = {"name": "One", "way": "clouds_yaml", "clouds_yaml": text}
    answer = connect(data)
    page = said(answer)
    assert answer.status_code == 422 and '<option value="othercorp">' in page
    for name in ("acme", "othercorp"):
        assert credential(name)["auth"][SECRET] not in page
    assert connect(data | {"cloud": "none"}).status_code == 422
    assert connect(data | {"cloud": "acme"}).status_code == 302


def test_a_secret_that_the_text_leaves_out_is_asked_for(connect, clouds_yaml, credential):
    text = clouds_yaml("acme", secret=False)
    data = {"name": "Apart", "way": "clouds_yaml", "clouds_yaml": text}
    answer = connect(data)
    assert answer.status_code == 422 and list(answer.context["form"].errors) == ["clouds_secret"]
    secret = credential("acme")["auth"][SECRET]
    assert connect(data | {"clouds_secret": secret}).status_code == 302


def test_by_openrc(connect, democloud):
    data = {"name": "By openrc", "way": "openrc", "openrc": openrc(democloud)}
    answer = connect(data)
    assert answer.status_code == 422 and list(answer.context["form"].errors) == ["openrc_secret"]
    assert connect(data | {"openrc_secret": "demo"}).status_code == 302
    codes = [row["code"] for row in CloudAccount.objects.get().findings]
    assert codes == ["works", "password_credential"]


def test_an_openrc_that_runs_something_is_refused(connect, democloud):
    data = {"name": "By openrc", "way": "openrc", "openrc": openrc(democloud, "$(cat pw-file)")}
    answer = connect(data)
    assert answer.status_code == 422 and "would run a command" in said(answer)
    assert "pw-file" not in said(answer)


TOO_LONG = b"#" * 70_000


@pytest.mark.parametrize(
    ("field", "content", "sentence"),
    [
        ("clouds_file", TOO_LONG, "longer than any"),
        ("clouds_file", b"\xff\xfe\x00", "not a text"),
        ("clouds_file", b"", "no cloud in this text"),
        ("openrc_file", TOO_LONG, "longer than any"),
        ("openrc_file", b"\x80", "not a text"),
    ],
)
def test_a_file_that_is_none(connect, field, content, sentence):
    way = {"clouds_file": "clouds_yaml", "openrc_file": "openrc"}[field]
    data = {"name": "x", "way": way, field: SimpleUploadedFile("f", content)}
    answer = connect(data)
    assert answer.status_code == 422 and sentence in said(answer)


def test_a_huge_file_is_dropped_on_its_way(connect):
    file = SimpleUploadedFile("f", b"#" * 3_000_000)
    answer = connect({"name": "x", "way": "openrc", "openrc_file": file})
    assert answer.status_code == 422 and "Paste the text, or choose its file" in said(answer)


def test_an_admins_credential_is_refused_with_the_reason(connect, fields):
    answer = connect(fields("admin"))
    assert answer.status_code == 422 and "everybody’s servers" in said(answer)


def test_htmx_is_sent_to_the_new_account(connect, fields):
    answer = connect(fields(), headers={"HX-Request": "true"})
    made = CloudAccount.objects.get()
    assert answer.headers["HX-Redirect"] == at("account", made.team_id, made.pk)


def test_in_french(connect, fields):
    answer = connect(fields(auth_url="https://169.254.169.254"), headers={"Accept-Language": "fr"})
    assert "réseau privé" in said(answer)


def test_not_too_often(connect, fields, monkeypatch):
    monkeypatch.setattr("instances.views.accounts.TESTS_A_MINUTE", -1)
    answer = connect(fields())
    assert answer.status_code == 422 and "too many tests" in said(answer)
    assert not CloudAccount.objects.exists()


# The list ---------------------------------------------------------------------------------------


def test_members_see_the_list_without_details(client, production, teams, bob, carol):
    rows.account(teams.other, "Theirs")
    CloudMirror.objects.filter(account=production).update(problem="credentials")
    for person in (bob, carol):
        client.force_login(person)
        page = said(client.get(at("accounts", teams.acme.pk)))
        assert "Production" in page and "does not accept" in page
        assert "Theirs" not in page and "tested" not in page and "127.0.0.1" not in page
        assert at("account", teams.acme.pk, production.pk) not in page
        assert at("account_connect", teams.acme.pk) not in page


def test_an_empty_list_says_what_to_do(owner, client, teams, bob):
    assert "Connect one, and its instances" in said(owner.get(at("accounts", teams.acme.pk)))
    client.force_login(bob)
    assert "An owner of the team can" in said(client.get(at("accounts", teams.acme.pk)))


def test_names_are_escaped(owner, teams):
    rows.account(teams.acme, "<script>alert(1)</script>", problem="refused")
    page = said(owner.get(at("accounts", teams.acme.pk)))
    assert "<script>alert" not in page and "&lt;script&gt;" in page


# What is done with one --------------------------------------------------------------------------


def test_test_again(owner, teams, production, demo):
    address = at("account_test", teams.acme.pk, production.pk)
    assert "went well" in said(owner.post(address, follow=True))
    demo.knobs(nova_down="503")
    page = said(owner.post(address, follow=True))
    assert "has to be mended" in page and "compute service does not answer" in page


def test_rotate(owner, teams, production, fields, credential):
    address = at("account_rotate", teams.acme.pk, production.pk)
    assert production.auth_url in said(owner.get(address))
    answer = owner.post(address, fields(**{SECRET: "my-wrong-secret"}))
    assert answer.status_code == 422 and "my-wrong-secret" not in said(answer)
    other = owner.post(address, fields("othercorp"))
    assert other.status_code == 422 and "another project" in said(other)
    assert owner.post(address, fields()).status_code == 302
    production.refresh_from_db()
    assert production.rotated_at and production.credential()["auth"] == credential("acme")["auth"]


def test_rename(owner, teams, production):
    address = at("account_rename", teams.acme.pk, production.pk)
    rows.account(teams.acme, "Taken")
    assert owner.post(address, {"name": ""}).status_code == 422
    answer = owner.post(address, {"name": "Taken"})
    assert answer.status_code == 422 and "of this name already" in said(answer)
    assert owner.post(address, {"name": "Renamed"}).status_code == 302
    production.refresh_from_db()
    assert production.name == "Renamed"


def test_a_hash_in_the_metadata_is_an_owners_word(owner, client, bob, teams, production):
    address = at("account_metadata", teams.acme.pk, production.pk)
    assert "Temporary password without a config drive" in said(
        owner.get(at("account", teams.acme.pk, production.pk))
    )
    for sent, permitted in (({"permitted": "on"}, True), ({"permitted": "on"}, True), ({}, False)):
        assert "Saved." in said(owner.post(address, sent, follow=True))
        production.refresh_from_db()
        assert production.password_by_metadata is permitted
    told = AuditEntry.objects.filter(act="account.metadata").order_by("pk")
    assert [entry.details["permitted"] for entry in told] == [True, False]
    client.force_login(bob)
    assert client.post(address, {"permitted": "on"}).status_code == 403
    CloudAccount.objects.filter(pk=production.pk).update(disconnected_at=production.created_at)
    client.force_login(teams.acme.memberships.get(role="owner").user)
    assert client.post(address, {"permitted": "on"}).status_code == 404


def test_more_regions(owner, teams, production):
    address = at("account_regions", teams.acme.pk, production.pk)
    assert owner.post(address).status_code == 422
    assert owner.post(address, {"regions": ["Mars"]}).status_code == 422
    page = said(owner.post(address, {"regions": ["Demo-SBG"]}, follow=True))
    assert "Production Demo-SBG" in page and CloudAccount.objects.count() == 2


def test_disconnect_asks_for_the_name(owner, teams, production):
    address = at("account_disconnect", teams.acme.pk, production.pk)
    assert "Type its name" in said(owner.get(address))
    assert owner.post(address, {"typed": "production"}).status_code == 422
    page = said(owner.post(address, {"typed": "Production"}, follow=True))
    assert "Production is disconnected." in page
    assert owner.get(at("account", teams.acme.pk, production.pk)).status_code == 404


def test_disconnect_names_the_rescues_that_need_it(owner, teams, alice):
    account = rows.account(teams.acme, "Busy")
    rows.rescue(rows.rescued(account, "web-7"), "READY", alice)
    address = at("account_disconnect", teams.acme.pk, account.pk)
    assert "web-7" in said(owner.get(address))
    answer = owner.post(address, {"typed": "Busy"})
    assert answer.status_code == 422 and "Exit these rescues first" in said(answer)
    account.refresh_from_db()
    assert account.disconnected_at is None


# Secrets ----------------------------------------------------------------------------------------


def test_no_page_session_or_message_ever_holds_the_secret(owner, teams, production, fields, caplog):
    from django.contrib.sessions.models import Session

    from teams.session_store import SessionStore

    secret = fields()[SECRET]
    pages = ["account", "account_rotate", "account_rename", "account_disconnect"]
    shown = [said(owner.get(at(name, teams.acme.pk, production.pk))) for name in pages]
    with caplog.at_level("DEBUG"):
        shown += [said(owner.get("/")), said(owner.get(at("account_connect", teams.acme.pk)))]
        shown.append(said(owner.post(at("account_connect", teams.acme.pk), fields(name="Twice"))))
    kept = [SessionStore(session.session_key).load() for session in Session.objects.all()]
    shown.append(str(kept))
    assert "_auth_user_id" in shown[-1]
    assert len(shown) == 8 and secret not in "".join(shown) + caplog.text


def test_an_error_report_leaves_the_form_out(connect, fields, monkeypatch, settings):
    from django.views.debug import SafeExceptionReporterFilter

    kept = {}

    def fail(*, team, by, name, given):
        raise RuntimeError("for the report")

    def see(request, *_args, **_more):
        kept.update(SafeExceptionReporterFilter().get_post_parameters(request))
        kept.update(sensitive=request.sensitive_post_parameters)

    monkeypatch.setattr("instances.accounts.connect", fail)
    monkeypatch.setattr("django.core.handlers.exception.log_response",
                        lambda *_a, request=None, **_k: see(request))  # fmt: skip
    settings.DEBUG = False
    connect.__closure__[0].cell_contents.raise_request_exception = False
    assert connect(fields()).status_code == 500
    assert kept["sensitive"] == "__ALL__" and fields()[SECRET] not in kept.values()
