"""Write sbom.cdx.json: what a panel consists of, from the lock, as CycloneDX, with licences."""

import json
import subprocess
import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import ROOT, licence

SBOM = ROOT / "sbom.cdx.json"


def main(target: Path = SBOM) -> int:
    """Write and validate the list; return the exit status."""
    command = [str(Path(sys.executable).with_name("cyclonedx-py")), "requirements"]
    command += ["--pyproject", "pyproject.toml", "--output-reproducible", "requirements.lock"]
    made = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    listed = json.loads(made)
    for component in listed["components"]:
        component.pop("description", None)  # the lock's own line, with all its hashes again
        component["licenses"] = [{"expression": licence(component["name"])}]
    text = json.dumps(listed, indent=1, ensure_ascii=False) + "\n"
    if problem := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.stderr.write(f"sbom: {problem}\n")
        return 1
    target.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{target.name}: {len(listed['components'])} components, CycloneDX 1.6.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*map(Path, sys.argv[1:])))
