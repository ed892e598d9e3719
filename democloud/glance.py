"""Answer as Glance v2 does: list and show images, and enough to make and delete one."""

import hashlib
import uuid
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.routing import Route

from democloud.clock import iso, now
from democloud.http import Answer, Call, Refusal, Service, check_token, page
from democloud.state import Image

NEEDS_LOGIN = (
    "This server could not verify that you are authorized to access the document you requested."
    " Either you supplied the wrong credentials (e.g., bad password), or your browser does not"
    " understand how to supply the credentials required."
)
OWN_FIELDS = (
    "id", "name", "owner", "visibility", "status", "os_hidden", "disk_format",
    "container_format", "size", "min_ram", "min_disk", "protected",
)  # fmt: skip
SORTABLE = {*OWN_FIELDS, "created", "updated"}
NOT_FILTERS = ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status", "tag")
MOST_PER_PAGE = 1000
USUAL_PER_PAGE = 25


def visible_to(image: Image, project_id: str) -> bool:
    """Tell whether a project may use an image by its id."""
    if image.visibility in ("public", "community") or image.owner == project_id:
        return True
    return image.visibility == "shared" and project_id in image.members


def _listed_for(image: Image, call: Call) -> bool:
    wanted = call.request.query_params.get("visibility")
    if wanted:
        return image.visibility == wanted and (
            call.is_admin or visible_to(image, call.who.project_id)
        )
    if call.is_admin:
        return True
    if image.visibility == "community" and image.owner != call.who.project_id:
        return False
    if image.visibility == "shared" and image.owner != call.who.project_id:
        return image.members.get(call.who.project_id) == "accepted"
    return visible_to(image, call.who.project_id)


def _prepare(call: Call) -> None:
    if not call.request.url.path.rstrip("/").endswith(("/image", "/image/versions")):
        check_token(call)


def _refuse(_call: Call, refusal: Refusal) -> Answer:
    said = NEEDS_LOGIN if refusal.status == 401 else refusal.message
    return Answer(refusal.status, text=page(refusal.status, said), headers=refusal.headers)


def _mark(call: Call) -> dict[str, str]:
    return {"x-openstack-request-id": call.request_id}


def versions(call: Call) -> Answer:
    """Answer at the root: which versions there are."""
    href = f"{call.base}/{call.region.slug}/image/v2/"
    names = [
        "v2.17",
        *(f"v2.{minor}" for minor in (15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)),
    ]
    found = [
        {
            "id": name,
            "status": "SUPPORTED" if number else "CURRENT",
            "links": [{"rel": "self", "href": href}],
        }
        for number, name in enumerate(names)
    ]
    return Answer(300, {"versions": found})


def view(image: Image) -> dict[str, Any]:
    """Return an image as Glance shows it: properties beside its own fields."""
    shown = {name: getattr(image, name) for name in OWN_FIELDS}
    path = f"/v2/images/{image.id}"
    digest = hashlib.sha512(image.id.encode()).hexdigest() if image.size else None
    return {
        **image.properties,
        **shown,
        "virtual_size": image.size,
        "checksum": digest[:32] if digest else None,
        "os_hash_algo": "sha512" if digest else None,
        "os_hash_value": digest,
        "created_at": iso(image.created),
        "updated_at": iso(image.updated),
        "tags": image.tags,
        "self": path,
        "file": f"{path}/file",
        "schema": "/v2/schemas/image",
    }


def _find(call: Call, ident: str) -> Image:
    image = call.region.images.get(ident)
    if image is None or not (call.is_admin or visible_to(image, call.who.project_id)):
        raise Refusal(404, f"No image found with ID {ident}")
    return image


def _matches(image: Image, name: str, wanted: str) -> bool:
    if name == "os_hidden":
        return image.os_hidden == (wanted.lower() in ("true", "1", "yes"))
    if name in ("size_min", "size_max"):
        return (
            (image.size or 0) >= int(wanted)
            if name == "size_min"
            else (image.size or 0) <= int(wanted)
        )
    found = getattr(image, name) if name in OWN_FIELDS else image.properties.get(name)
    if wanted.startswith("in:"):
        return str(found) in wanted[3:].split(",")
    return str(found) == wanted if found is not None else False


def _filtered(call: Call) -> list[Image]:
    query = call.request.query_params
    filters = {
        "os_hidden": "false",
        **{k: v for k, v in query.items() if k not in (*NOT_FILTERS, "visibility")},
    }
    tags = set(query.getlist("tag"))
    return [
        image
        for image in call.region.images.values()
        if _listed_for(image, call)
        and tags <= set(image.tags)
        and all(_matches(image, name, wanted) for name, wanted in filters.items())
    ]


def _sortable(image: Image, field: str) -> str:
    return str(getattr(image, field))


def _sorted(call: Call, images: list[Image]) -> list[Image]:
    query = call.request.query_params
    wanted = (
        query.get("sort")
        or f"{query.get('sort_key', 'created_at')}:{query.get('sort_dir', 'desc')}"
    )
    images = sorted(images, key=lambda image: (image.created, image.id), reverse=True)
    for part in reversed(wanted.split(",")):
        key, _, direction = part.partition(":")
        field = {"created_at": "created", "updated_at": "updated"}.get(key, key)
        if field in SORTABLE:
            images.sort(key=partial(_sortable, field=field), reverse=direction != "asc")
    return images


def _after(images: list[Image], marker: str) -> list[Image]:
    for number, image in enumerate(images):
        if image.id == marker:
            return images[number + 1 :]
    raise Refusal(400, f"No image found with ID {marker}")


def list_images(call: Call) -> Answer:
    """List images, page by page."""
    query = dict(call.request.query_params)
    if "limit" in query and not query["limit"].isdigit():
        raise Refusal(400, "limit param must be an integer")
    limit = min(int(query.get("limit", USUAL_PER_PAGE)), MOST_PER_PAGE)
    images = _sorted(call, _filtered(call))
    if "marker" in query:
        images = _after(images, query["marker"])
    page = images[:limit]
    rest = {key: value for key, value in query.items() if key != "marker"}
    first = "/v2/images" + (f"?{urlencode(rest)}" if rest else "")
    body: dict[str, Any] = {
        "images": [view(one) for one in page],
        "first": first,
        "schema": "/v2/schemas/images",
    }
    if limit and len(page) == limit:
        body["next"] = f"/v2/images?{urlencode({**rest, 'marker': page[-1].id})}"
    return Answer(200, body)


def show_image(call: Call) -> Answer:
    """Return one image."""
    return Answer(200, view(_find(call, call.param("id"))))


def create_image(call: Call) -> Answer:
    """Make an image without data yet."""
    wanted = dict(call.json() or {})
    if wanted.get("visibility") == "public" and not call.is_admin:
        raise Refusal(403, "You are not authorized to complete publicize_image action.")
    own = {key: wanted.pop(key) for key in OWN_FIELDS if key in wanted}
    tags = wanted.pop("tags", [])
    base = {
        "id": str(uuid.uuid4()),
        "name": "",
        "visibility": "shared",
        "owner": call.who.project_id,
        **own,
    }
    image = Image(**{**base, "status": "queued", "size": None}, tags=tags, properties=wanted)
    call.region.images[image.id] = image
    return Answer(
        201,
        view(image),
        headers={"Location": f"{call.base}/{call.region.slug}/image/v2/images/{image.id}"},
    )


def _own(call: Call) -> Image:
    image = _find(call, call.param("id"))
    if not (call.is_admin or image.owner == call.who.project_id):
        raise Refusal(403, "You are not authorized to complete modify_image action.")
    return image


def upload(call: Call) -> Answer:
    """Take an image's data, of which only the length is kept."""
    image = _own(call)
    image.status, image.size, image.updated = "active", len(call.raw), now()
    return Answer(204)


def deactivate(call: Call) -> Answer:
    """Deactivate an image, or activate it again."""
    image = _own(call)
    image.status, image.updated = call.param("what") + "d", now()
    if image.status == "reactivated":
        image.status = "active"
    return Answer(204)


def delete_image(call: Call) -> Answer:
    """Delete an image."""
    image = _own(call)
    if image.protected:
        raise Refusal(403, f"Image {image.id} is protected and cannot be deleted.")
    del call.region.images[image.id]
    return Answer(204)


def schema(call: Call) -> Answer:
    """Answer that images may have any property."""
    return Answer(
        200,
        {"name": call.param("name"), "properties": {}, "additionalProperties": {"type": "string"}},
    )


SERVICE = Service("glance", _prepare, _refuse, _mark)
ROOT = "/{region}/image"
ROUTES = [
    Route(f"{ROOT}", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/versions", SERVICE.endpoint(versions)),
    Route(f"{ROOT}/v2/images", SERVICE.endpoint(list_images)),
    Route(f"{ROOT}/v2/images", SERVICE.endpoint(create_image), methods=["POST"]),
    Route(f"{ROOT}/v2/images/{{id}}", SERVICE.endpoint(show_image)),
    Route(f"{ROOT}/v2/images/{{id}}", SERVICE.endpoint(delete_image), methods=["DELETE"]),
    Route(f"{ROOT}/v2/images/{{id}}/file", SERVICE.endpoint(upload), methods=["PUT"]),
    Route(
        f"{ROOT}/v2/images/{{id}}/actions/{{what}}", SERVICE.endpoint(deactivate), methods=["POST"]
    ),
    Route(f"{ROOT}/v2/schemas/{{name}}", SERVICE.endpoint(schema)),
]
