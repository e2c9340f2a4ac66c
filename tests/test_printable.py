"""Text from outside as it is shown: controls become visible, ordinary writing stays."""

from __future__ import annotations

import json
import unicodedata

import pytest

from compressor.printable import each_printable, in_json, in_markdown, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x1b[2K\rverdict: pass", r"\x1b[2K\rverdict: pass"),
        ("a\b\bb", r"a\x08\x08b"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe\u202c", r"\u202egnp.exe\u202c"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
        ("ze\u200bro\u200d\ufeff", r"ze\u200bro\u200d\ufeff"),
        ("lone \udcff \ud83d", r"lone \udcff \ud83d"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("nothing\u3164seen", r"nothing\u3164seen"),
        ("a\nb\tc\x7f", r"a\nb\tc\x7f"),
        ("", ""),
    ],
)
def test_what_would_act_is_seen_instead(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text", ["Größe 95.5 %", "naïve – “yes”", "猫　犬", "кошка", "قطة", "बिल्ली", "🐈 ❤️", r"C:\new\x1b", "a[/]b <i>"]
)
def test_ordinary_writing_stays(text: str) -> None:
    assert printable(text) == text


def test_text_of_several_lines_keeps_them_and_nothing_else() -> None:
    assert printable("one\r\n\ttwo\x1b[A\x85", lines=True) == "one\\r\n\ttwo\\x1b[A\\x85"


def test_no_control_of_any_plane_gets_through() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = {unicodedata.category(char) for char in printable(everything)}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"}
    assert {"Ll", "Lu", "Lo", "Zs", "So", "Mn"} <= left


def test_what_is_no_text_is_shown_as_its_text() -> None:
    assert printable(ValueError("bad\x1b")) == r"bad\x1b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b `c` [d](e) & *f* _g_", r"a\|b \`c\` \[d\](e) &amp; \*f\* \_g\_"),
        ("<img src=x> #1 ~h~ $i$", r"&lt;img src=x&gt; \#1 \~h\~ \$i\$"),
        ("one\n\n# two", r"one\\n\\n\# two"),
        ("\u202egnp", r"\\u202egnp"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("---", r"\---"),
        ("+ item", r"\+ item"),
        ("===", r"\==="),
        ("1. item", r"1\. item"),
        ("2) item", r"2\) item"),
        ("95.5 %", "95.5 %"),
        ("-1.5 points", "-1.5 points"),
    ],
)
def test_markdown_shows_a_name_and_does_nothing_else_with_it(text: str, shown: str) -> None:
    assert in_markdown(text) == shown


def test_json_stays_the_same_data_without_a_control() -> None:
    value = {"na\x1bme": ["\x7f\u202e", 1.5, None, {"a\nb": "é"}]}
    text = in_json(value)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


def test_json_with_letters_escapes_only_what_would_act() -> None:
    value = {"Größe\x1b": ["\x7f\u202e猫\u200b\ud800", "a\nb"], "🐈": 1}
    text = in_json(value, indent=1, letters=True)
    assert text.replace("\n", "").isprintable()
    assert "Größe" in text
    assert "🐈" in text
    assert json.loads(text) == value
    assert in_json({"猫": 1}, letters=True) == '{"猫": 1}'


def test_each_text_of_a_value_becomes_printable() -> None:
    assert each_printable({"a\x1b\n": ["b\r\nc", 1, None, ("\u2028",)]}) == {
        r"a\x1b\n": [r"b\r" + "\nc", 1, None, [r"\u2028"]]
    }
