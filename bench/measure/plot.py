"""Bars as SVG, by hand: panels of horizontal bars, each with its median and the range it is from."""
from xml.sax.saxutils import escape

WIDTH = 880
LABEL = 200     # px left of the bars
VALUE = 130     # px right of them
BAR, GAP = 14, 6
TOP, TITLE = 12, 30
COLOURS = {"ours": "#1f6feb", "reference": "#8c959f", "rival": "#d4843e"}
FONT = "font-family=\"system-ui,sans-serif\""


def scale(most, width):
    """A function from a value to pixels; the most fills the width."""
    return lambda value: width * value / most if most > 0 else 0.0


def _text(x, y, words, size=12, anchor="start", weight="normal", fill="#1f2328"):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s" fill="%s" %s>%s</text>' % (
        x, y, size, anchor, weight, fill, FONT, escape(words))


def _bar(y, bar, pixels):
    """One bar: {"label", "kind", "median", "least", "most", "text"}."""
    middle = y + BAR / 2
    low, high = LABEL + pixels(bar["least"]), LABEL + pixels(bar["most"])
    return [
        _text(LABEL - 8, y + BAR - 3, bar["label"], anchor="end", weight="bold" if bar["kind"] == "ours" else "normal"),
        '<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>' % (
            LABEL, y, max(1.0, pixels(bar["median"])), BAR, COLOURS[bar["kind"]]),
        '<path d="M%.1f %.1fH%.1f M%.1f %.1fv6 M%.1f %.1fv6" stroke="#1f2328" fill="none"/>' % (
            low, middle, high, low, middle - 3, high, middle - 3),
        _text(LABEL + pixels(bar["most"]) + 8, y + BAR - 3, bar["text"], size=11, fill="#57606a"),
    ]


def panels(groups):
    """An SVG document. groups: [(title, [bar])]; each panel has its own scale, from 0 to its largest."""
    parts, y = [], TOP
    for title, bars in groups:
        y += TITLE - 12
        parts.append(_text(8, y, title, size=13, weight="bold"))
        y += 12
        pixels = scale(max((bar["most"] for bar in bars), default=0), WIDTH - LABEL - VALUE)
        for bar in bars:
            parts += _bar(y, bar, pixels)
            y += BAR + GAP
        y += 8
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">' % (WIDTH, y, WIDTH, y),
        '<rect width="100%" height="100%" fill="#ffffff"/>', *parts, "</svg>", ""])
