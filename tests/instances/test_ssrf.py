"""Where the panel connects to for a cloud: never into the operator's own network."""

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from instances.cloud import Cloud, CloudError, Refused, check_address, guard, inquire
from tests.instances.fakehttp import _Handler, fake_cloud

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@pytest.fixture(autouse=True)
def networks(settings):
    settings.CLOUD_PRIVATE_NETWORKS = LOOPBACK
    settings.CLOUD_AUTH_HOSTS = []


@pytest.fixture
def fake():
    with fake_cloud() as cloud:
        yield cloud


@pytest.fixture
def resolver(monkeypatch):
    """Answer for made-up names; the real resolver for all others. Lists of answers run out."""
    names, asked = {}, []
    real = socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        asked.append(host)
        if host not in names:
            return real(host, port, *args, **kwargs)
        turn = names[host].pop(0) if len(names[host]) > 1 else names[host][0]
        family = socket.AF_INET6 if ":" in turn else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (turn, port))]

    monkeypatch.setattr(guard.socket, "getaddrinfo", resolve)
    names["asked"] = asked
    return names


def credential(url, **more):
    auth = {
        "auth_url": url,
        "application_credential_id": "id",
        "application_credential_secret": "our-secret",
    }
    return {"auth_type": "v3applicationcredential", "auth": auth} | more


def codes(inquiry):
    return [trait.code for trait in inquiry.found]


# Addresses --------------------------------------------------------------------------------------

PUBLIC = ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8"]
INSIDE = """
0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.1.2.3 169.254.169.254 172.16.0.1 192.168.1.1 192.0.2.1
198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254
::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 2002:7f00:1::
2002:0a00:0001:: 2001:0:7f00:1::1 fe80::1 fe80::1%eth0 fec0::1 fc00::1 fd00::1 ff02::1
fd00:ec2::254
""".split()


@pytest.mark.parametrize("address", INSIDE)
def test_inside(address, settings):
    settings.CLOUD_PRIVATE_NETWORKS = []
    assert not guard.may_reach(address, encrypted=True)


@pytest.mark.parametrize("address", PUBLIC[:2])
def test_public_by_tls_only(address):
    assert guard.may_reach(address, encrypted=True)
    assert not guard.may_reach(address, encrypted=False)


def test_what_the_operator_permits_is_permitted_in_every_spelling():
    assert guard.may_reach("127.0.0.1", encrypted=False)
    assert guard.may_reach("::ffff:127.0.0.1", encrypted=False)
    assert not guard.may_reach("10.0.0.1", encrypted=True)
    assert not guard.may_reach("::1", encrypted=True)


SPELLINGS = {
    "https://169.254.169.254/v3": "private",
    "https://[::ffff:169.254.169.254]/v3": "private",
    "https://2852039166/v3": "private",  # the same as a number
    "https://0xa9fea9fe/v3": "private",
    "https://0251.0376.0251.0376/v3": "private",
    "https://169.254.43518/v3": "private",
    "https://localhost/v3": "private",
    "https://[::1]:5000/v3": "private",
    "https://0/v3": "private",
    "http://8.8.8.8/v3": "plain_http",
    "https://user:secret@8.8.8.8/v3": "userinfo",
    "https://keystone.example.org@169.254.169.254/v3": "userinfo",
    "ftp://8.8.8.8/v3": "malformed",
    "file:///etc/passwd": "malformed",
    "https:///v3": "malformed",
    "https://[::1/v3": "malformed",
    "https://host:port/v3": "malformed",
    "gopher://127.0.0.1:6379/_FLUSHALL": "malformed",
    "": "malformed",
}


@pytest.mark.parametrize("url", SPELLINGS)
def test_spellings(url, settings):
    settings.CLOUD_PRIVATE_NETWORKS = []
    with pytest.raises(Refused) as caught:
        check_address(url)
    assert caught.value.reason == SPELLINGS[url] and "secret" not in str(caught.value)


def test_only_listed_hosts(settings):
    settings.CLOUD_AUTH_HOSTS = ["keystone.example.org", ".cloud.example.net"]
    for host in ("keystone.example.org", "KEYSTONE.example.org.", "a.b.cloud.example.net"):
        guard.check_url(f"https://{host}/v3")
    for host in ("example.org", "evil-keystone.example.org.evil.net", "cloud.example.net.evil"):
        with pytest.raises(Refused) as caught:
            guard.check_url(f"https://{host}/v3")
        assert caught.value.reason == "not_listed"


# On the wire ------------------------------------------------------------------------------------


def test_a_refused_address_is_never_connected_to(fake, settings):
    settings.CLOUD_PRIVATE_NETWORKS = []
    assert codes(inquire(credential(f"{fake.url}/v3"), "R")) == ["address_plain_http"]
    https = fake.url.replace("http:", "https:")
    assert codes(inquire(credential(f"{https}/v3"), "R")) == ["address_private"]
    assert fake.asked == []


def test_the_name_is_resolved_once_and_connected_to_as_checked(fake, resolver, settings):
    settings.CLOUD_PRIVATE_NETWORKS = [ipaddress.ip_network("127.0.0.1/32")]
    port = fake.url.rsplit(":", 1)[1]
    resolver["rebind.test"] = ["127.0.0.1", "127.0.0.2"]
    assert guard.guarded_session().get(f"http://rebind.test:{port}/v3").status_code == 200
    assert resolver["asked"].count("rebind.test") == 1
    assert fake.asked[-1][2]["Host"] == f"rebind.test:{port}"
    with pytest.raises(Refused):
        guard.guarded_session().get(f"http://rebind.test:{port}/v3")
    assert len(fake.asked) == 1


def test_of_several_addresses_only_the_permitted_is_used(fake, monkeypatch):
    port = int(fake.url.rsplit(":", 1)[1])
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.255.255.1", port)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ]
    monkeypatch.setattr(guard.socket, "getaddrinfo", lambda *_a, **_k: both)
    assert guard.guarded_session().get(f"http://two.test:{port}/v3").status_code == 200


def test_a_redirect_is_not_followed(fake):
    with fake_cloud() as other:
        fake.answer("/v3/auth/tokens", 302, b"", {"Location": f"{other.url}/v3/auth/tokens"})
        assert codes(inquire(credential(f"{fake.url}/v3"), "R")) == ["redirects"]
        assert other.asked == []


def test_a_catalog_that_leads_inside_is_not_followed(fake):
    token = fake._token()
    compute = token["token"]["catalog"][0]["endpoints"][0]
    compute["url"] = "https://169.254.169.254/compute/v2.1"
    fake.answer("/v3/auth/tokens", 201, token, {"X-Subject-Token": "the-token"})
    found = inquire(credential(f"{fake.url}/v3"), "R").found
    assert [(one.code, one.about["host"]) for one in found] == [
        ("service_refused", "169.254.169.254")
    ]
    # The same for what the synchroniser and the driver ask.
    cloud = Cloud(credential(f"{fake.url}/v3"), region_name="R")
    for ask in (lambda: list(cloud.server_pages()), lambda: cloud.look("s-1"),
                lambda: cloud.rescue("s-1", image_ref="i", password="p")):  # fmt: skip
        with pytest.raises(Refused) as caught:
            ask()
        assert caught.value.kind == "refused"


def test_a_catalog_with_another_services_plain_http_is_not_followed(fake):
    token = fake._token()
    token["token"]["catalog"][1]["endpoints"][0]["url"] = "http://8.8.8.8/image"
    fake.answer("/v3/auth/tokens", 201, token, {"X-Subject-Token": "the-token"})
    with pytest.raises(Refused) as caught:
        Cloud(credential(f"{fake.url}/v3"), region_name="R").images()
    assert caught.value.reason == "plain_http"


def test_discovery_that_leads_elsewhere_is_not_followed(fake):
    links = [{"rel": "self", "href": "https://169.254.169.254/compute/v2.1/"}]
    fake.answer("/compute/v2.1", 200, {"version": {
        "id": "v2.1", "status": "CURRENT", "version": "2.96", "min_version": "2.1", "links": links,
    }})  # fmt: skip
    with pytest.raises(CloudError):
        list(Cloud(credential(f"{fake.url}/v3"), region_name="R").server_pages())


def test_no_proxy_and_no_netrc(fake, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login op password operators-own\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert guard.guarded_session().get(f"{fake.url}/v3").status_code == 200
    assert "Authorization" not in fake.asked[-1][2]


def test_an_endless_answer_is_cut(fake, monkeypatch):
    monkeypatch.setattr(guard, "MOST_BYTES", 10_000)
    fake.answer("/v3", 200, b"x" * 20_000)
    with pytest.raises(CloudError):
        guard.guarded_session().get(f"{fake.url}/v3")


def test_patience_ends_however_slowly_an_answer_drips(monkeypatch):
    from instances.cloud import inquiry

    monkeypatch.setattr(inquiry, "PATIENCE", 1.0)

    def drip(server):
        connection, _where = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            for _turn in range(100):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        begun = time.monotonic()
        auth_url = f"http://127.0.0.1:{server.getsockname()[1]}/v3"
        found = inquire(credential(auth_url), "R")
        assert codes(found) == ["timeout"]
        assert time.monotonic() - begun < 2


def test_a_test_of_a_cloud_that_hangs_ends_in_time(monkeypatch):
    from instances.cloud import inquiry

    monkeypatch.setattr(inquiry, "PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.monotonic()
        found = inquire(credential(f"http://127.0.0.1:{server.getsockname()[1]}/v3"), "R")
        assert codes(found) == ["timeout"] and time.monotonic() - begun < 3


# TLS --------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """Make a certificate of one's own for a name; the file holds the key too."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def tls_cloud(pem: Path):
    with fake_cloud() as cloud:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.cloud = cloud
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        seen = []
        context.sni_callback = lambda _sock, name, _context: seen.append(name)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1], cloud, seen
        server.shutdown()
        server.server_close()


def test_the_name_is_what_tls_proves_not_the_address(resolver, tmp_path):
    pem = certificate(tmp_path, "keystone.test")
    resolver["keystone.test"] = ["127.0.0.1"]
    resolver["other.test"] = ["127.0.0.1"]
    with tls_cloud(pem) as (port, cloud, seen):
        right = guard.guarded_session().get(f"https://keystone.test:{port}/v3", verify=str(pem))
        assert right.status_code == 200 and seen == ["keystone.test"]
        with pytest.raises(requests.exceptions.SSLError):
            guard.guarded_session().get(f"https://other.test:{port}/v3", verify=str(pem))
        asked = len(cloud.asked)
        found = inquire(credential(f"https://keystone.test:{port}/v3"), "R")  # nobody vouches
        assert codes(found) == ["tls"] and len(cloud.asked) == asked
