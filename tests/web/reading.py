"""Reads a page as far as tests look at it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"input", "img", "meta", "link", "br", "hr", "option"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page:
    """All elements of a page in their order, each with the text inside it."""

    elements: list[Element] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements by tag and attributes; `class_` is one of its classes, underscores in names are dashes."""
        return [found for found in self.elements if found.tag == tag and _fits(found, attributes)]

    def one(self, tag: str, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    def value(self, name: str) -> str:
        """What a text field holds, or which choice is made."""
        for select in self.all("select", name=name):
            choices = self.elements[self.elements.index(select) + 1 :]
            return next(one.attributes["value"] for one in choices if "selected" in one.attributes)
        found = [*self.all("input", name=name), *self.all("textarea", name=name)][0]
        return found.text.strip() if found.tag == "textarea" else found.attributes.get("value", "")

    def error(self, name: str) -> str:
        """The sentence at a field; empty where there is none."""
        return "".join(found.text for found in self.all("p", id=f"{name}-error"))

    @property
    def errors(self) -> dict[str, str]:
        found = self.all("p", class_="error")
        return {one.attributes.get("id", "").removesuffix("-error"): one.text for one in found}


def read(text: str) -> Page:
    """The page that `text` is."""
    reader = _Reader()
    reader.feed(text)
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.page.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            continue

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data


def _fits(found: Element, attributes: dict[str, str]) -> bool:
    for name, wanted in attributes.items():
        if name == "class_":
            if wanted not in found.attributes.get("class", "").split():
                return False
        elif found.attributes.get(name.replace("_", "-")) != wanted:
            return False
    return True
