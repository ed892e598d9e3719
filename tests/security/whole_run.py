"""A day at the panel over HTTP: everything that has a secret happens, and each is written down."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import yaml
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.journeys.visitor import Visitor
from tests.receivers import Sink
from tests.services import wait_until

DORA = "dora@example.org"
FIRST, SECOND = "Pa55-of-Dora-the-first-day", "Pa55-of-Dora-after-the-mail"
BODY = re.compile(r"^.*<main[^>]*>", re.DOTALL)
EVES = "Pa55-of-Eve-who-was-invited"


class Day:
    """Drive one panel through a day; ``looked`` is called whenever something secret is about."""

    def __init__(self, url: str, keystone: str, sink: Sink, look: Callable[[str], None]) -> None:
        self.url, self.keystone, self.sink, self.look = url, keystone, sink, look
        self.secrets: dict[str, str] = {}
        self.alice = self.arrives("alice")

    def play(self) -> None:
        """Let it all happen."""
        self.somebody_signs_up_and_forgets_her_password()
        self.she_adds_a_second_factor()
        self.alice_makes_a_team()
        self.invites_somebody()
        self.connects_clouds()
        self.adds_a_webhook()
        self.pastes_a_private_key()
        self.rescues_with_help_of_staff()

    def keep(self, name: str, secret: str) -> str:
        """Note a secret under a name."""
        assert len(secret) >= 8, name
        known = [word for word in self.secrets if word.split(" #")[0] == name]
        if secret not in self.secrets.values():
            self.secrets[f"{name} #{len(known) + 1}"] = secret
        return secret

    def arrives(self, name: str = "") -> Visitor:
        """Give a session of one of the cast or of nobody; the names of its sessions are secrets."""
        visitor = Visitor(self.url)
        visitor.http.event_hooks["response"].append(self._keep_session)
        visitor.get("/sign-in")
        if name:
            visitor.sign_in(name)
        return visitor

    def _keep_session(self, answer: httpx.Response) -> None:
        if session := answer.cookies.get("session"):
            self.keep("session", session)

    def told(self, to: str, pattern: str) -> str:
        """Return what the last mail to an address says, as soon as it came."""

        def texts() -> list[str]:
            return [str(mail.get_content()) for mail in self.sink.mails if mail["To"] == to]

        wait_until(lambda: any(re.search(pattern, text) for text in texts()), f"mail to {to}", 30)
        found = [match for text in texts() if (match := re.search(pattern, text))]
        return found[-1][1]

    # People -----------------------------------------------------------------------------------

    def somebody_signs_up_and_forgets_her_password(self) -> None:
        dora = self.arrives()
        self.keep("password", FIRST)
        done(dora.post("/account/sign-up", name="Dora", email=DORA, password1=FIRST))
        key = self.keep("key that confirms", self.told(DORA, r"/account/confirm/(\S+)"))
        self.look("signed up")
        done(dora.post(f"/account/confirm/{key}"))

        asking = self.arrives()
        done(asking.post("/account/reset", email=DORA))
        link = self.told(DORA, r"/account/reset/(\S+-\S+)")
        self.keep("key that resets", link.split("-", 1)[1])
        shown = done(asking.get(f"/account/reset/{link}"))
        self.look("at the new password")
        self.keep("password", SECOND)
        form = shown.headers["Location"]
        done(asking.post(form, password1=SECOND, password2=SECOND))

    def she_adds_a_second_factor(self) -> None:
        dora = self.arrives()
        done(dora.post("/sign-in", username=DORA, password=SECOND))
        done(dora.post("/account/again?next=/account/factors", password=SECOND))
        page = dora.get("/account/factors/app").text
        seed = self.keep("seed of the app", between(page, r'id="totp-key">([A-Z2-7]+)<'))
        self.look("while the app is being added")
        code = format_hotp_value(hotp_value(seed, int(time.time()) // 30))
        done(dora.post("/account/factors/app", code=code))
        self._keep_codes(dora)
        done(dora.post("/account/factors/recovery/new"))
        self._keep_codes(dora)
        self.look("with recovery codes")

    def _keep_codes(self, visitor: Visitor) -> None:
        page = visitor.get("/account/factors/recovery").text
        codes = between(page, r'class="codes"[^>]*>([^<]+)<').split()
        assert len(codes) == 10
        for code in codes:
            self.keep("recovery code", code)

    # The team ---------------------------------------------------------------------------------

    def alice_makes_a_team(self) -> None:
        done(self.alice.post("/teams/new", name="Canaries"))
        numbers = re.findall(r"/teams/(\d+)/", self.alice.get("/teams").text)
        self.team = f"/teams/{max(map(int, numbers))}"
        assert "Canaries" in self.alice.get(f"{self.team}/members").text

    def invites_somebody(self) -> None:
        eve = "eve@example.org"
        link = r"/invitations/(\S+)"
        fields = {"email": eve, "role": "member", "language": "en"}
        assert self.alice.post(f"{self.team}/invitations", **fields).status_code < 400
        first = self.keep("invitation", self.told(eve, link))
        page = self.alice.get(f"{self.team}/invitations").text
        resent = self.alice.post(between(page, rf'action="({self.team}/invitations/\d+/resend)"'))
        assert resent.status_code < 400
        wait_until(lambda: self.told(eve, link) != first, "the second invitation")
        token = self.keep("invitation", self.told(eve, link))
        self.look("invited")
        self.keep("password", EVES)
        newcomer = self.arrives()
        newcomer.get(f"/invitations/{token}")
        newcomer.get(f"/account/sign-up?invitation={token}")
        form = {"name": "Eve", "email": eve, "password1": EVES, "invitation": token}
        done(newcomer.post("/account/sign-up", **form))

    def connects_clouds(self) -> None:
        first, second, third = (self._minted(f"canary {number}") for number in range(3))
        given = {"way": "application", "name": "By fields", "region_name": "Demo-GRA", **first}
        done(self.alice.post(f"{self.team}/clouds/connect", **given))
        auth = {"auth_type": "v3applicationcredential", "auth": second, "region_name": "Demo-SBG"}
        text = yaml.safe_dump({"clouds": {"demo": auth}})
        pasted = {"way": "clouds_yaml", "name": "By file", "clouds_yaml": text}
        done(self.alice.post(f"{self.team}/clouds/connect", **pasted))
        accounts = re.findall(
            rf"{self.team}/clouds/\d+", self.alice.get(f"{self.team}/clouds").text
        )
        done(self.alice.post(f"{min(accounts)}/rotate", way="application", **third))
        wrong = third | {"application_credential_secret": self.keep("typed wrongly", "wr0ng-" * 6)}
        refused = self.alice.post(f"{min(accounts)}/rotate", way="application", **wrong)
        assert refused.status_code == 422

    def _minted(self, name: str) -> dict[str, str]:
        """Make an application credential of alice's, as she would in her cloud."""
        user = {"name": "alice", "password": "demo", "domain": {"id": "default"}}
        scope = {"project": {"name": "acme", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        asked = {"auth": {"identity": identity, "scope": scope}}
        answer = httpx.post(f"{self.keystone}/auth/tokens", json=asked)
        self.keep("token of the cloud", answer.headers["X-Subject-Token"])
        made = httpx.post(
            f"{self.keystone}/users/{answer.json()['token']['user']['id']}/application_credentials",
            json={"application_credential": {"name": name}},
            headers={"X-Auth-Token": answer.headers["X-Subject-Token"]},
        ).json()["application_credential"]
        secret = self.keep("secret of the cloud", made["secret"])
        return {
            "auth_url": self.keystone,
            "application_credential_id": made["id"],
            "application_credential_secret": secret,
        }

    def adds_a_webhook(self) -> None:
        shown = self.alice.post(f"{self.team}/webhooks/new", url="http://127.0.0.1:9/canary")
        pattern = r'id="signing-secret">([^<]+)<'
        self.keep("webhook's secret", between(shown.text, pattern))
        hook = between(shown.text, rf'href="({self.team}/webhooks/\d+)"')
        again = self.alice.post(f"{hook}/secret")
        self.keep("webhook's secret", between(again.text, pattern))
        for secret in list(self.secrets.values()):
            if secret.startswith("whsec_"):
                self.keep("webhook's key", secret.removeprefix("whsec_"))
        done(self.alice.post(f"{hook}/test"))
        self.look("a webhook is called")

    def pastes_a_private_key(self) -> None:
        made = Ed25519PrivateKey.generate()
        pem = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        for line in pem.splitlines()[2:-1]:
            self.keep("private key", line)
        refused = self.alice.post("/account/keys", name="Laptop", public_key=pem)
        assert refused.status_code == 422

    # The rescue -------------------------------------------------------------------------------

    def rescues_with_help_of_staff(self) -> None:
        wait_until(lambda: bool(self._rows()), "the list of the team's instances", 60)
        instance = self._rows()[0]
        page = self.alice.get(f"/instances/{instance}/rescue").text
        fields = {
            "idempotency_key": between(page, r'name="idempotency_key" value="([^"]+)"'),
            "image": between(page, r'name="image"[^>]*? value="([^"]+)"[^>]* checked'),
            "reason": "canaries",
        }
        done(self.alice.post(f"/instances/{instance}/rescue", **fields))
        shows = re.compile(r'action="(/rescues/[^"]+)/password"')
        wait_until(lambda: bool(shows.search(self._told_of_rescues())), "the rescue", 60)
        rescue = between(self._told_of_rescues(), shows.pattern)
        self.keep("temporary password", self._password(self.alice, rescue))
        self.look("in rescue mode")
        self._staff_reads(rescue)
        self.look("read by staff")
        done(self.alice.post(f"/instances/{instance}/exit"))
        wait_until(lambda: not shows.search(self._told_of_rescues()), "the exit", 60)

    def _staff_reads(self, rescue: str) -> None:
        sam = self.arrives("sam")
        number = between(sam.get("/staff?q=alice").text, r"/staff/people/(\d+)/impersonate")
        done(sam.post(f"/staff/people/{number}/impersonate", reason="Ticket of canaries"))
        done(sam.post(f"{rescue}/grant"))
        allow = rf'action="({rescue}/grant/\d+/allow)"'
        done(self.alice.post(between(self._told_of_rescues(), allow)))
        assert self._password(sam, rescue) in self.secrets.values()
        done(sam.post("/staff/stop"))

    def _password(self, reader: Visitor, rescue: str) -> str:
        shown = reader.post(f"{rescue}/password").text
        return between(shown, r'<output class="password"[^>]*>([^<]+)<').strip()

    def _rows(self) -> list[str]:
        team = self.team.rsplit("/", 1)[1]
        page = self.alice.get(f"/?team={team}&q=web-1").text
        return re.findall(r'data-instance="(\d+)"', page)

    def _told_of_rescues(self) -> str:
        return self.alice.get("/notifications", htmx=True).text


def between(page: str, pattern: str) -> str:
    """Return the part of a page that a pattern's group marks."""
    found = re.search(pattern, page, re.DOTALL)
    assert found, f"{pattern} is not in {BODY.sub('', page)[:2000]}"
    return found[1]


def done(answer: Any) -> Any:
    """Check that a form led on."""
    assert answer.status_code in (302, 303), (answer.request.url, answer.status_code, answer.text)
    return answer
