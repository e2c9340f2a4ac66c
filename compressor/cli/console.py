"""The one console of the commands: what it is given is text, never markup, and is made printable first."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from compressor.printable import printable

_NARROWEST = 20


class Console(rich.console.Console):
    """A rich console that takes no text for markup and lets no control of a foreign name through."""

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, **more: Any) -> None:
        stream = file or (sys.stderr if stderr else sys.stdout)
        file = getattr(stream, "rich_proxied_file", stream)  # now: a live display puts its own in between
        super().__init__(file=file, markup=False, emoji=False, highlight=False, **more)
        if self.width < _NARROWEST:
            self.width = 80

    @property
    def is_live(self) -> bool:
        """Whether a person looks on while it is written, and lines may be written again."""
        return self.is_terminal and not self.is_dumb_terminal and bool(self._force_terminal or self.file.isatty())

    def render_str(self, text: str, **more: Any) -> Text:
        """Text as it is, made printable before it is measured."""
        return super().render_str(printable(text, lines=True), **{**more, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is shown of anything, whoever made it."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, lines=True))

    def say(self, *parts: str | tuple[str, str]) -> None:
        """Print one line that is not broken at the edge. parts: text, or text with its style."""
        self.print(styled(*parts), soft_wrap=True)

    def tell(self, *parts: str | tuple[str, str]) -> None:
        """Print one line that goes on in the next at the console's edge."""
        self.print(styled(*parts))


def styled(*parts: str | tuple[str, str]) -> Text:
    """Text of parts with their styles, printable and on one line."""
    pairs = [part if isinstance(part, tuple) else (part, "") for part in parts]
    return Text.assemble(*((printable(text), style) for text, style in pairs))


def say(text: str, *, err: bool = False) -> None:
    """Print one line, whatever the text holds."""
    print(printable(text), file=sys.stderr if err else sys.stdout)
