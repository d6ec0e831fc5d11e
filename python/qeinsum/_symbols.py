"""Labels that are no letters: `opt_einsum.get_symbol` counts code points through, and `×` is its 75th."""

from __future__ import annotations

import unicodedata
from typing import Iterator

from ._errors import reworded
from ._qeinsum import Error

# Where the numbering of `opt_einsum` goes on after the letters of ASCII.
_FIRST = 0xC0
# What signs are called that are taken for `->` or `...`.
_TAKEN_FOR_TOKENS = {"ARROW", "MINUS", "GREATER-THAN", "ELLIPSIS"}


class Spelling:
    """An equation with letters in the places of such labels, and the way back."""

    __slots__ = ("given", "text", "there", "back")

    def __init__(self, text: str) -> None:
        self.given = self.text = text
        self.there: dict[int, str] = {}
        self.back: dict[int, str] = {}
        if text.isascii():
            return
        symbols = _symbols(text)
        if not symbols:
            return
        if "->" not in text:
            # The order of the labels of an implied output is that of the symbols, not of their letters.
            self.text = text = f"{text}->{_implied(text)}"
        letters = _letters(text)
        self.there = {ord(symbol): next(letters) for symbol in symbols}
        self.back = {ord(letter): chr(symbol) for symbol, letter in self.there.items()}
        self.text = text.translate(self.there)

    def in_its_words(self, error: Error) -> Error:
        """An error of the equation, with its own labels."""
        if not self.back:
            return error
        spans = [(self._place(start), self._place(end)) for start, end in error.spans]
        message = error.message.translate(self.back)
        text = str(error).translate(self.back).replace(self.text.translate(self.back), self.given)
        error = reworded(error, text)
        error.message, error.spans = message, spans
        return error

    def _place(self, byte: int) -> int:
        """A place in the text with letters as one in the text as it was given: both in bytes."""
        before = self.text.encode()[:byte].decode(errors="ignore")
        return len(before.translate(self.back).encode(errors="surrogatepass"))


def _symbols(text: str) -> list[str]:
    """The labels of an equation that are no letters, in order."""
    labels = sorted(set(text) - set(" ,.->"))
    # Nobody types more labels than ASCII has letters: then all of them were counted through.
    counted = len(labels) > 52 and "->" in text
    return [c for c in labels if ord(c) >= _FIRST and not c.isalpha() and (counted or not _is_punctuation(c))]


def _is_punctuation(c: str) -> bool:
    """Whether a character is more likely taken for a token, or is there by mistake, than counted through."""
    return unicodedata.category(c)[0] in "PZC" or not _TAKEN_FOR_TOKENS.isdisjoint(unicodedata.name(c, "").split())


def _letters(text: str) -> Iterator[str]:
    """Letters that do not occur in a text, nor in the words of an error."""
    known = set(text)
    return (c for c in map(chr, range(_FIRST, 0x110000)) if c.isalpha() and c not in known)


def _implied(text: str) -> str:
    """The output that an equation without one has: what `...` covers, and the labels that occur once, in order."""
    once = sorted(c for c in set(text) - set(" ,.") if text.count(c) == 1)
    return "..." * ("..." in text) + "".join(once)
