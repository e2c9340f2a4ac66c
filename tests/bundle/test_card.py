"""The model card shows names as they are, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

from compressor.bundle import card
from tests.exported import bundle, world  # noqa: F401


def test_names_are_no_html_and_end_no_cell(bundle: Path) -> None:
    facts = json.loads((bundle / "bundle.json").read_text())
    facts["name"] = "<b>bold</b>"
    facts["task"]["data"] = "cats & <dogs>"
    facts["answers"] = ["<script>alert(1)</script>", "two\n# lines", *facts["answers"][2:]]
    facts["inputs"][0]["name"] = "a|b"
    shown = card.render(facts)
    assert shown.startswith("# &lt;b&gt;bold&lt;/b&gt;\n")
    assert "samples of cats &amp; &lt;dogs&gt;;" in shown
    assert "answers: &lt;script&gt;alert(1)&lt;/script&gt;, two\\\\n\\# lines, 2," in shown
    assert r"| input | a\|b |" in shown
    assert not set("<>") & set(shown)


def test_plain_names_stay_as_they_are(bundle: Path) -> None:
    facts = json.loads((bundle / "bundle.json").read_text())
    assert card.render(facts) == (bundle / "README.md").read_text()
    assert "answers: 0, 1, 2, 3" in card.render({**facts, "answers": ["0", "1", "2", "3"]})
