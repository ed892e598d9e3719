"""Chain the audit entries there are, then let the database refuse to change them."""

import django.utils.timezone
from django.db import migrations, models

from teams import append_only, chain


def chain_entries(apps, schema_editor):
    """Give each entry its hash, oldest first."""
    AuditEntry = apps.get_model("teams", "AuditEntry")
    previous = ""
    for entry in AuditEntry.objects.order_by("pk").iterator(2000):
        link = chain.Link(
            id=entry.pk,
            at=entry.at,
            team=entry.team_id,
            actor=entry.actor_id,
            acting_by=entry.acting_by_id,
            act=entry.act,
            target=entry.target,
            details=entry.details,
        )
        previous = chain.digest(previous, link)
        AuditEntry.objects.filter(pk=entry.pk).update(hash=previous)


def install(apps, schema_editor):
    append_only.install(schema_editor.connection)


def lift(apps, schema_editor):
    append_only.lift(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("teams", "0003_failing_since")]

    operations = [
        migrations.AlterField(
            model_name="auditentry",
            name="at",
            field=models.DateTimeField(
                db_index=True, default=django.utils.timezone.now, editable=False
            ),
        ),
        migrations.RunPython(chain_entries, migrations.RunPython.noop),
        migrations.RunPython(install, lift),
    ]
