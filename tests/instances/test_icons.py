"""An icon that is not there would be a page that is not there."""

import re

from instances.templatetags import machine
from instances.templatetags.panel import icon
from tests.services import ROOT

NAMED = re.compile(r'{%\s*icon "([^"]+)"')


def test_every_icon_that_a_template_names_is_there():
    texts = [path.read_text() for path in (ROOT / "templates").rglob("*.html")]
    names = {name for text in texts for name in NAMED.findall(text)} | {*machine.ICONS.values()}
    assert len(names) > 40
    for name in sorted(names):
        assert "<svg" in icon(name, 16), name
