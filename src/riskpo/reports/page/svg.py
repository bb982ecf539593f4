"""A Matplotlib figure as SVG that lives inside a page: no style of its own, ids of its own, colours by class."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from riskpo.reports.page.palette import CLASSES, STYLE

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_LOST = {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}
_DRAWN = ("fill", "stroke")
_KEPT = {
    *_DRAWN,
    "fill-opacity",
    "stroke-opacity",
    "stroke-width",
    "stroke-dasharray",
    "stroke-dashoffset",
    "stroke-linecap",
    "stroke-linejoin",
    "opacity",
    "text-anchor",
    "fill-rule",
    "clip-rule",
}
_PLACES = {"d", "x", "y", "width", "height", "transform", "points"}
_BY_HEX = {to_hex(color): name for color, name in CLASSES.items()}


def inline_svg(figure: Figure, key: str, label: str) -> str:
    """The figure as an `<svg>` element.

    Inline style attributes would need a policy that lets any style in: they become attributes, and colours of the
    palette become classes (`f-NAME` fills, `s-NAME` strokes), which a style sheet gives their values.

    Args:
        figure: drawn with the palette's colours only; others stay as they are.
        key: a letter first, then letters, digits and dashes: the prefix of its ids.
        label: what a screen reader says.
    """
    file = io.StringIO()
    with rc_context({**STYLE, "svg.hashsalt": key}):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # a second pass of the layout would move things by hundredths of a point
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in _LOST:
                parent.remove(child)
    for element in root.iter():
        _plain(element, key)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label, "focusable": "false"}
    return _bare(ElementTree.tostring(root, encoding="unicode"))


def _plain(element: ElementTree.Element, key: str) -> None:
    """Takes style, foreign names and shared ids out of an element."""
    attributes = element.attrib
    declarations = [part.partition(":") for part in attributes.pop("style", "").split(";")]
    styles = {name.strip(): value.strip() for name, colon, value in declarations if colon}
    for name, value in styles.items():
        if name in _KEPT:
            attributes[name] = value
        elif name in ("font", "font-size"):
            size = re.search(r"([\d.]+)px", value)
            attributes |= {"font-size": size[1]} if size else {}
    href = attributes.pop(f"{{{_XLINK}}}href", None)
    if href is not None:
        attributes["href"] = f"#{key}-{href[1:]}" if href.startswith("#") else href
    for name in _PLACES & attributes.keys():  # a hundredth of a point is less than a pixel
        attributes[name] = re.sub(r"(\d+\.\d\d)\d+", r"\1", attributes[name])
    if "id" in attributes:
        attributes["id"] = f"{key}-{attributes['id']}"
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("url(#", f"url(#{key}-")
    if element.tag == f"{{{_SVG}}}text":
        attributes.setdefault("fill", "#000000")
    names = [
        f"{drawn[0]}-{_BY_HEX[attributes.pop(drawn).lower()]}"
        for drawn in _DRAWN
        if attributes.get(drawn, "").lower() in _BY_HEX
    ]
    if names:
        attributes["class"] = " ".join(names)


def _bare(text: str) -> str:
    """Without the namespace prefixes that the serialiser writes: HTML knows the element by its name."""
    text = re.sub(r"<(/?)ns\d+:", r"<\1", text)
    return re.sub(r' xmlns:ns\d+="[^"]*"', "", text)
