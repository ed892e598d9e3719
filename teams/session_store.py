"""Sessions as rows of the database, with what they hold sealed: see docs/decisions/0007."""

from typing import Any

from django.contrib.sessions.backends import db

from teams import secrets


class SessionStore(db.SessionStore):
    def encode(self, session_dict: dict[str, Any]) -> str:
        """Seal what a session holds: the seed of an app, a key that resets a password."""
        text = self.serializer().dumps(session_dict).decode("latin-1")
        return secrets.seal(text, bound_to=self._binding)

    def decode(self, session_data: str | bytes) -> dict[str, Any]:
        """Open what a session holds; what no key opens is an empty session."""
        try:
            text = secrets.unseal(str(session_data), bound_to=self._binding)
        except secrets.CannotOpen:
            return {}
        opened: dict[str, Any] = self.serializer().loads(text.encode("latin-1"))
        return opened

    @property
    def _binding(self) -> str:
        return f"session:{self.session_key}"
