"""Make what a cloud starts from: by name, and many servers for tests of scale.

``many:N`` puts N plain servers into the first project, ``many:N+M`` M more into the second.
"""

from datetime import timedelta

from democloud.clock import ago
from democloud.seed_demo import demo_seed
from democloud.seed_lab import lab_seed
from democloud.state import Address, Flavor, Image, Project, Region, Seed, Server, fixed_uuid

KINDS = ("web", "api", "worker", "cache", "db", "queue", "build", "test")


def make_seed(name: str) -> Seed:
    """Return the seed of a name: demo, lab, empty, or many:N."""
    if name.startswith("many:"):
        seed = demo_seed(with_servers=False)
        first = 0
        for project, count in zip(
            seed.projects, name.removeprefix("many:").split("+"), strict=False
        ):
            add_many(seed, int(count), project, first)
            first += int(count)
        return seed
    if name not in ("demo", "lab", "empty"):
        raise ValueError(f"there is no seed {name!r}: demo, empty, lab or many:N[+M]")
    return lab_seed() if name == "lab" else demo_seed(with_servers=name == "demo")


def add_many(seed: Seed, count: int, project: Project, first: int = 0) -> None:
    """Put so many plain servers into the first region, for a project."""
    region = seed.regions[0]
    image = next(one for one in region.images.values() if one.name == "Debian 12")
    flavors = list(region.flavors.values())
    user = next(user for user in seed.users if project.id in user.roles)
    for number in range(first, first + count):
        server = _one_of_many(region, image, flavors[number % len(flavors)], number)
        server.project_id, server.user_id = project.id, user.id
        region.servers[server.id] = server


def _one_of_many(region: Region, image: Image, flavor: Flavor, number: int) -> Server:
    name = f"{KINDS[number % len(KINDS)]}-{number:05d}"
    born = ago(days=400) + timedelta(minutes=number)
    high, low = divmod(number, 250)
    address = Address(region.network, f"10.{20 + high // 250}.{high % 250}.{low + 2}")
    # Another of this computer's own, where its machine answers; the demo has the ones below 100.
    reached = Address(region.network, f"127.77.{100 + high % 150}.{low + 2}", kind="floating")
    return Server(
        fixed_uuid(region.slug, "many", str(number)),
        name,
        region.name,
        "",
        "",
        flavor,
        image.id,
        created=born,
        updated=born,
        launched_at=born,
        addresses=[address, reached],
        ssh_address=reached.address,
        hostname=name,
        config_drive=True,
        image_properties=dict(image.properties),
    )
