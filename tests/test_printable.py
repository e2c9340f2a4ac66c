"""Text from outside as it is shown: controls become visible, ordinary writing stays."""

from __future__ import annotations

import unicodedata

import pytest

from compressor.printable import printable


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
