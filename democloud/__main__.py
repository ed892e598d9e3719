"""Run the look-alike: `python -m democloud --port 8774 [--seed demo] [--instant]`."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
import yaml

from democloud.app import create_app
from democloud.faults import instant
from democloud.seed import make_seed
from democloud.state import Credential, Seed, User

#: the names under which a panel's demo knows its accounts
ACCOUNTS = {"Demo-GRA": "acme", "Demo-SBG": "acme@sbg", "Demo-Other": "othercorp"}
LOGIN_DOMAINS = {"user_domain_name": "Default", "project_domain_name": "Default"}


def read_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="democloud", description=__doc__)
    parser.add_argument("--port", type=int, default=8774)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", default="demo", help="demo, empty, lab or many:N[+M]")
    parser.add_argument("--instant", action="store_true", help="nothing takes time")
    parser.add_argument(
        "--ssh-port", type=int, default=0, help="where machines answer SSH; none without it"
    )
    parser.add_argument(
        "--print-credentials", action="store_true", help="JSON for each way in, then stop"
    )
    parser.add_argument("--print-clouds-yaml", action="store_true", help="a clouds.yaml, then stop")
    parser.add_argument("--log-level", default="warning")
    return parser.parse_args(arguments)


def build_seed(name: str, *, at_once: bool) -> Seed:
    """Return the seed of this name, without waiting if so wanted."""
    seed = make_seed(name)
    if at_once:
        seed.knobs = instant()
    return seed


def _credential_entry(url: str, region: str, one: Credential) -> dict[str, Any]:
    secret = {"application_credential_id": one.id, "application_credential_secret": one.secret}
    return {
        "auth_url": url,
        "region_name": region,
        "auth_type": "v3applicationcredential",
        "auth": {"auth_url": url, **secret},
        "project_id": one.project_id,
    }


def credentials(seed: Seed, url: str) -> dict[str, Any]:
    """Return each application credential; `NAME@region` for regions after the first."""
    found = {}
    for one in seed.credentials:
        for number, region in enumerate(seed.regions):
            key = f"{one.name}@{region.slug}" if number else one.name
            found[key] = _credential_entry(url, region.name, one)
    return found | {name: found[key] for name, key in ACCOUNTS.items() if key in found}


def _password_entry(url: str, region: str, user: User, project: str) -> dict[str, Any]:
    auth = {
        "auth_url": url,
        "username": user.name,
        "password": user.password,
        "project_name": project,
    }
    return {"auth": auth | LOGIN_DOMAINS, "region_name": region, "identity_api_version": 3}


def clouds(seed: Seed, url: str) -> dict[str, Any]:
    """Return a clouds.yaml: application credentials, and each user with each project."""
    found: dict[str, Any] = {}
    for name, entry in credentials(seed, url).items():
        found[name] = {
            "auth_type": entry["auth_type"],
            "auth": entry["auth"],
            "region_name": entry["region_name"],
        }
    names = {project.id: project.name for project in seed.projects}
    for user in seed.users:
        for project in user.roles:
            key = user.name if len(user.roles) == 1 else f"{user.name}-{names[project]}"
            found.setdefault(key, _password_entry(url, seed.regions[0].name, user, names[project]))
    return {"clouds": found}


def _serve(seed: Callable[[], Seed], options: argparse.Namespace) -> None:
    uvicorn.run(
        create_app(seed, options.ssh_port),
        host=options.host,
        port=options.port,
        log_level=options.log_level,
        access_log=False,
        timeout_graceful_shutdown=1,
        # Longer than clients keep a connection: a request must not meet one that is being closed.
        timeout_keep_alive=75,
    )


def main() -> None:
    """Print what is asked for, or serve."""
    options = read_arguments(sys.argv[1:])

    def seed() -> Seed:
        return build_seed(options.seed, at_once=options.instant)

    url = f"http://{options.host}:{options.port}/identity/v3"
    if options.print_credentials:
        sys.stdout.write(json.dumps(credentials(seed(), url), indent=2) + "\n")
    elif options.print_clouds_yaml:
        sys.stdout.write(yaml.safe_dump(clouds(seed(), url), sort_keys=False))
    else:
        _serve(seed, options)


if __name__ == "__main__":
    main()
