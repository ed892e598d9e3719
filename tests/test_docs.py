"""What the documents name exists, and what exists and matters is named."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands

from instances import story
from instances.lifecycle import State
from instances.models import Instance, Rescue
from teams.models import CloudAccount

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "democloud/README.md",
        ROOT / "rescue-image/README.md",
    ]
)
ROOMS = "instances teams rescuepanel democloud templates static locale tests docs scripts".split()
GUIDES = {language: ROOT / f"docs/guide.{language}.md" for language in ("en", "fr")}
# Not "page": that is the browser's.
each_page = pytest.mark.parametrize("paper", PAGES, ids=lambda paper: str(paper.relative_to(ROOT)))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", text(page), flags=re.MULTILINE | re.DOTALL)


def quoted(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


# Files and functions ----------------------------------------------------------------------------


def functions(path: Path) -> set[str]:
    tree = ast.parse(text(path))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def named_paths(page: Path) -> Iterator[str]:
    for word in quoted(page):
        path = word.partition(":")[0]
        if path.split("/")[0] in ROOMS and "/" in path and not re.search(r"[*\s{]", path):
            yield path


@each_page
def test_every_file_a_page_names_exists(paper: Path) -> None:
    assert [path for path in named_paths(paper) if not (ROOT / path).exists()] == []


@each_page
def test_every_function_a_page_names_exists(paper: Path) -> None:
    places = [re.fullmatch(r"([\w/]+\.py):(\w+)", word) for word in quoted(paper)]
    missing = [p[0] for p in places if p and p[2] not in functions(ROOT / p[1])]
    assert missing == []


def test_the_way_of_a_click_names_its_stations() -> None:
    way = text(ROOT / "docs/architecture.md").partition("## The way of a click")[2]
    assert len(re.findall(r"`[\w/]+\.py:\w+`", way.partition("\n## ")[0])) >= 8


@each_page
def test_every_command_a_page_names_exists(paper: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text(ROOT / "Makefile"), flags=re.MULTILINE))
    asked = set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", text(paper), flags=re.MULTILINE))
    assert asked - targets == set()
    commands = set(re.findall(r"manage\.py ([a-z_]+)", text(paper)))
    assert commands - set(get_commands()) == set()


# Links ------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_leads_somewhere(paper: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(paper)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (paper.parent / path) if path else paper
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)", prose(page))
        found = {(page.parent / link).resolve() for link in links if "://" not in link}
        waiting += found - reached
    assert set(PAGES) - reached - set(ROOT.glob("docs/decisions/*")) == set()


# Settings ---------------------------------------------------------------------------------------


ASKING = {
    "amqp_url",
    "text",
    "flag",
    "number",
    "words",
    "hosts",
    "networks",
    "address",
    "origin",
    "origins",
    "choice",
    "os.environ.get",
}


def settings_read() -> set[str]:
    """Return the names that the code asks the environment for."""
    names = set()
    for module in ("settings", "environment", "supervisor"):
        for node in ast.walk(ast.parse(text(ROOT / f"rescuepanel/{module}.py"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            asked = ast.unparse(node.func).removeprefix("env.")
            first = node.args[0]
            if asked in ASKING and isinstance(first, ast.Constant):
                names.add(str(first.value))
    return names


def settings_rows() -> dict[str, list[str]]:
    page = text(ROOT / "docs/settings.md").partition("## Read by others")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in page.splitlines()
        if line.startswith("| `")
    ]
    return {cells[0].strip("` |"): cells for cells in rows}


def test_every_setting_is_documented_and_no_other() -> None:
    assert {"SECRET_KEY", "DATABASE_URL", "DEMO", "LOG_LEVEL", "PORT"} <= settings_read()
    assert set(settings_rows()) == settings_read() - {"PORT"}
    assert "`PORT`" in text(ROOT / "docs/settings.md")


def test_every_setting_has_meaning_default_and_a_wrong_value() -> None:
    assert {name: len(cells) for name, cells in settings_rows().items() if len(cells) != 4} == {}


def wrong_values() -> list[tuple[str, str, str]]:
    found = []
    for name, cells in settings_rows().items():
        wrong = re.match(r"`([^`]+)` → `([^`…]+)", cells[3])
        if wrong and name in wrong[2]:
            found.append((name, wrong[1], wrong[2].strip()))
    return found


@pytest.mark.parametrize(("name", "value", "sentence"), wrong_values())
def test_a_wrong_value_says_what_the_page_says(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEBUG", "0")
    monkeypatch.setenv(name, value)
    path = ROOT / "rescuepanel/settings.py"
    spec = importlib.util.spec_from_file_location("rescuepanel.settings_again", path)
    assert spec and spec.loader
    with pytest.raises(ImproperlyConfigured) as problem:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert sentence in str(problem.value)


def test_wrong_values_are_given_for_most_settings() -> None:
    assert len(wrong_values()) >= 9


def test_the_compose_file_sets_only_documented_names() -> None:
    compose = text(ROOT / "docker-compose.yml")
    names = re.findall(r"^    ([A-Z_]+): ", compose.partition("\nservices:")[0], re.MULTILINE)
    page = text(ROOT / "docs/settings.md")
    assert names
    assert [n for n in names if f"`{n.removesuffix('_FILE')}`" not in page] == []


# The guides -------------------------------------------------------------------------------------


def labels() -> dict[str, set[str]]:
    """Return the panel's words and what they are in French; what varies is an ellipsis."""
    found: dict[str, set[str]] = {}
    for entry in polib.pofile(str(ROOT / "locale/fr/LC_MESSAGES/django.po")):
        pairs = [(entry.msgid, entry.msgstr)]
        if entry.msgid_plural:
            pairs = [(entry.msgid_plural, entry.msgstr_plural[1])]
        for english, french in pairs:
            found.setdefault(generic(english), set()).add(generic(french))
    return found


def generic(label: str) -> str:
    return re.sub(r"%\(\w+\)s|\{\w+\}", "…", label).replace("’", "'")


def emphasised(language: str) -> set[str]:
    return {generic(words) for words in re.findall(r"\*\*(.+?)\*\*", prose(GUIDES[language]))}


def test_the_english_guide_uses_the_words_of_the_panel() -> None:
    assert emphasised("en") - labels().keys() == set()


def test_the_french_guide_uses_the_words_of_the_panel_in_french() -> None:
    french = set().union(*labels().values())
    assert emphasised("fr") - french == set()


def test_both_guides_name_the_same_labels() -> None:
    known = labels()
    missing = [word for word in emphasised("en") if not known[word] & emphasised("fr")]
    assert missing == []
    assert len(emphasised("en")) == len(emphasised("fr"))


@pytest.mark.parametrize("language", GUIDES)
def test_a_guide_names_the_menu_and_the_password(language: str) -> None:
    known = labels()
    for label in ("Start in rescue mode", "Exit rescue mode", "Temporary password"):
        words = {label} if language == "en" else known[label]
        assert words & emphasised(language)


def test_both_guides_have_the_same_sections_pictures_and_commands() -> None:
    outlines, pictures, commands = [], [], []
    for page in GUIDES.values():
        outlines.append(re.findall(r"^#+", prose(page), re.MULTILINE))
        names = re.findall(r"\]\(images/([\w-]+)\.png\)", text(page))
        pictures.append([name.removesuffix("-fr") for name in names])
        blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", text(page), re.MULTILINE | re.DOTALL)
        commands.append("".join(blocks).replace("MOT_DE_PASSE", "PASSWORD"))
    assert outlines[0] == outlines[1]
    assert pictures[0] == pictures[1]
    assert commands[0] == commands[1]


@pytest.mark.parametrize("language", GUIDES)
def test_a_guide_gives_the_commands_that_the_panel_gives(language: str) -> None:
    address = {"address": "203.0.113.12", "version": 4, "kind": "fixed", "network": "Ext-Net"}
    instance = Instance(account=CloudAccount(), addresses=[address])
    rescue = Rescue(instance=instance, state=State.READY, access="password", access_user="root")
    guide = text(GUIDES[language])
    for step in story.steps(rescue):
        command = step.command.replace(str(rescue.pk)[:8], "2f15611b")
        assert command
        assert command in guide


def test_the_french_guide_has_french_typography() -> None:
    page = re.sub(r"`[^`\n]*`", "", prose(GUIDES["fr"]))
    assert re.findall(r".{10} [:;?!»]", page) == []
    assert re.findall(r"\w'\w", page) == []
    assert re.findall(r"« (?!\u00a0)", page) == []
