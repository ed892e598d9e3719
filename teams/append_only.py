"""The database's own refusal to change or empty the audit trail."""

from typing import Any

REFUSAL = "The audit trail is append-only."

_SQLITE = {
    "install": [
        f"""CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON teams_auditentry
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"""
        for act in ("UPDATE", "DELETE")
    ]
    # REPLACE deletes without a word to the triggers of DELETE.
    + [
        f"""CREATE TRIGGER audit_no_replace BEFORE INSERT ON teams_auditentry
        WHEN EXISTS (SELECT 1 FROM teams_auditentry WHERE id = NEW.id)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"""  # noqa: S608  our own words  # nosec B608
    ],
    "lift": [f"DROP TRIGGER IF EXISTS audit_no_{act}" for act in ("update", "delete", "replace")],
}
_POSTGRESQL = {
    "install": [
        f"""CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
        """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON teams_auditentry
        FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON teams_auditentry
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    ],
    "lift": [
        "DROP TRIGGER IF EXISTS audit_no_change ON teams_auditentry",
        "DROP TRIGGER IF EXISTS audit_no_truncate ON teams_auditentry",
    ],
}


def _run(connection: Any, what: str) -> None:
    statements = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}[connection.vendor][what]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def install(connection: Any) -> None:
    """Make the database refuse to change, delete or truncate entries."""
    _run(connection, "install")


def lift(connection: Any) -> None:
    """Take the refusal away: for going back to before it, and for emptying a test's database."""
    _run(connection, "lift")
