"""The report page: well formed, self-contained, escaped."""

import base64
from html.parser import HTMLParser

import pytest

from attn_jax import viz
from attn_jax.viz import draw

PNG = draw.to_png(draw.new_figure(0.4, 0.2), dpi=50)
VOID = {"meta", "link", "img"}
NASTY = "<script>alert(\"x\")</script> & 'quoted' https://example.org"


class Page(HTMLParser):
    """Check that every tag is closed, and collect tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def render(text="Text."):
    table = viz.Table(["", text], [[text, "1.2 %"]], text)
    blocks = [viz.Picture(PNG, text, text), table, viz.Picture(PNG, text, text)]
    sections = [viz.Section(text, f"{text}\n\n{text}", blocks), viz.Section("Last")]
    return viz.render_report(text, [(text, text)], sections)


@pytest.mark.parametrize("text", ["Text.", NASTY])
def test_the_page_is_well_formed_and_fetches_nothing(text):
    page = Page(render(text))
    sources = [a[k] for _, a in page.tags for k in ("src", "href", "srcset", "data") if k in a]
    assert len(sources) == 3  # two pictures and the empty icon
    assert all(source.startswith("data:") for source in sources)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "url(" not in render(text)
    assert "@import" not in render(text)


def test_text_is_escaped_and_comes_back_whole():
    page = Page(render(NASTY))
    assert page.words.count(NASTY) == 9  # title, h1, dt, dd, h2, two p, two th
    assert page.all("img")[0]["alt"] == NASTY


def test_the_page_can_be_read_by_anyone():
    page = Page(render())
    assert page.all("html") == [{"lang": "en"}]
    assert any(a.get("name") == "viewport" for a in page.all("meta"))
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert all(a["alt"] for a in page.all("img"))
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}
    assert len(page.all("h1")) == 1
    assert "prefers-color-scheme: dark" in render()


def test_pictures_carry_their_bytes_and_their_size():
    image = Page(render()).all("img")[0]
    assert (image["width"], image["height"]) == ("20", "10")
    head, data = image["src"].split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == PNG


def test_a_gif_is_known_by_its_first_bytes():
    gif = b"GIF89a" + bytes([7, 0, 1, 1])
    page = viz.render_report("t", [], [viz.Section("s", "", [viz.Picture(gif, "a", "c")])])
    image = Page(page).all("img")[0]
    assert image["src"].startswith("data:image/gif")
    assert (image["width"], image["height"]) == ("7", "257")


def test_figures_and_tables_are_numbered_through_the_page():
    words = "".join(Page(render()).words)
    assert words.index("Figure 1.") < words.index("Table 1.") < words.index("Figure 2.")


def test_the_same_page_twice():
    assert render() == render()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (viz.Picture(PNG, " ", "c"), "alt must say what the picture shows"),
        (viz.Picture(b"<svg/>", "a", "c"), "data must be the bytes of a PNG or a GIF; got b'<svg"),
        (viz.Table(["a", "b"], [["1"]]), r"rows must have 2 cells; got 1: \['1'\]"),
        ("text", "blocks must be Picture or Table; got str"),
    ],
)
@pytest.mark.usefixtures("bad_input")
def test_bad_blocks_are_refused(block, message):
    with pytest.raises(ValueError, match=message):
        viz.render_report("t", [], [viz.Section("s", "", [block])])
