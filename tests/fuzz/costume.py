"""Put a hostile word in the place of every string of a cloud that people get to see."""

import json
from itertools import count
from typing import Any

from tests.fuzz.warp import Answer
from tests.fuzz.words import HOSTILE

SHOWN = {
    "name",
    "original_name",
    "key_name",
    "message",
    "description",
    "hostname",
    "output",
    "locked_reason",
    "owner_specified",
    "os_distro",
    "os_version",
    "details",
}
LISTS = {
    "servers",
    "server",
    "images",
    "image",
    "project",
    "user",
    "output",
    "instanceActions",
    "instanceAction",
}


class Costume:
    """``rewrite`` an answer; the same server keeps its words, another ``turn`` gives it others."""

    def __init__(self, turn: int = 0) -> None:
        self.turn = turn
        self.given: dict[str, str] = {}
        self._numbers = count()

    def word(self, honest: str) -> str:
        if honest not in self.given:
            number = next(self._numbers) + 17 * self.turn
            self.given[honest] = HOSTILE[number % len(HOSTILE)]
        return self.given[honest]

    def rewrite(self, path: str, answer: Answer) -> Answer:
        try:
            document = json.loads(answer.body)
        except ValueError:
            return answer
        if not isinstance(document, dict):
            return answer
        if isinstance(document.get("token"), dict):
            document = {"token": document["token"] | self._people(document["token"])}
        elif not path.startswith("/identity"):
            document = {k: self._dressed(v, k) if k in LISTS else v for k, v in document.items()}
        return Answer(answer.status, json.dumps(document).encode(), answer.headers)

    def _people(self, token: dict[str, Any]) -> dict[str, Any]:
        return {
            key: token[key] | {"name": self.word(token[key]["name"])}
            for key in ("user", "project")
            if isinstance(token.get(key), dict)
        }

    def _dressed(self, node: Any, key: str, of: str = "") -> Any:
        if isinstance(node, list):
            return [
                self.word(one) if key == "tags" else self._dressed(one, key, of) for one in node
            ]
        if key == "addresses":
            return {self.word(net): self._ports(ports) for net, ports in node.items()}
        if key in ("metadata", "properties"):
            return {self.word(name): self.word(value) for name, value in node.items()}
        if isinstance(node, dict):
            of = str(node.get("id", of))
            return {name: self._dressed(value, name, of) for name, value in node.items()}
        if key == "output":
            return node + "\n".join(HOSTILE).replace("\0", "")
        return self.word(f"{of}{node}") if key in SHOWN and isinstance(node, str) else node

    def _ports(self, ports: Any) -> Any:
        """One of two addresses is no address."""
        return [
            port
            | (
                {"addr": self.word(f"address {port['addr']}")}
                if port["addr"][-1] in "13579"
                else {}
            )
            for port in ports
        ]
