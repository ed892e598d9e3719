"""The admin's pages of machines and rescues: to search and read, without any password."""

from instances.models import Batch, CloudMirror, Grant, ImageProfile, Instance, Rescue
from teams.admin import listed

listed(
    Instance,
    "name server_id account status vm_state task_state seen_at",
    "name server_id account__team__name search_text",
    list_filter=["status"],
    list_select_related=["account"],
    ordering=["name"],
)
listed(
    Rescue,
    "created_at instance state requested_by acting_by ready_at ended_at failure_code",
    "id instance__name instance__server_id requested_by__email instance__account__team__name",
    list_filter=["state"],
    list_select_related=["instance", "requested_by", "acting_by"],
    ordering=["-created_at"],
    raw_id_fields=["instance"],
)
listed(
    Batch,
    "begun_at team kind state asked_by acting_by ended_at",
    "id team__name asked_by__email reason",
    list_filter=["kind", "state"],
    list_select_related=["team", "asked_by", "acting_by"],
    ordering=["-created_at"],
)
listed(
    Grant,
    "asked_at rescue staff answered_by until withdrawn_at",
    "staff__email answered_by__email rescue__instance__name",
    list_select_related=["rescue", "staff", "answered_by"],
    ordering=["-asked_at"],
)
listed(ImageProfile, "image user access printed_line", "image user", ordering=["image"])
listed(
    CloudMirror,
    "account synced_at full_at problem problem_since",
    "account__name account__team__name",
    list_select_related=["account"],
)
