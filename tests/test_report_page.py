"""The page: one file that needs nothing else, and escapes what it is given."""

import re
from html.parser import HTMLParser

from _compared import compared
from _runs import Move, RunFolder

from kasmina.report import markup
from kasmina.report.markup import Card, Plate
from kasmina.report.page import Comparison, group_page, run_page
from kasmina.report.runs import read_run
from kasmina.report.tables import Link, Table
from kasmina.stage import Event

EVIL = "<script>alert('x')</script> & \"co\""
VOID = {"meta", "img", "source", "br", "link"}


class Nesting(HTMLParser):
    """Fails on a tag that is closed in the wrong place, and collects tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page(tmp_path, **options):
    plate = Plate("curves", "Curves", EVIL, EVIL, b"wide", b"narrow")
    return run_page(read_run(RunFolder(tmp_path, **options).write()), [plate])


def test_the_page_is_well_formed_and_semantic(tmp_path):
    tags = Nesting(page(tmp_path)).tags
    for tag in ("main", "header", "h1", "h2", "section", "figure", "figcaption", "footer"):
        assert tag in tags
    assert tags.count("h1") == 1


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    found = Nesting(page(tmp_path))
    assert {"script", "link", "iframe"}.isdisjoint(found.tags)
    sources = [value for name, value in found.attributes if name in {"src", "srcset", "href"}]
    assert sources
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert not re.search(r"url\(|@import", page(tmp_path))


def test_every_text_of_a_run_is_escaped(tmp_path):
    moves = [Move(1, "s", Event.GERMINATE, EVIL, reason=EVIL, by=EVIL, numbers={EVIL: 1.0})]
    text = page(tmp_path, name=EVIL, sites=("s",), moves=moves, overrides=(EVIL,))
    assert "<script" not in text
    assert "alert" in text
    Nesting(text)


def test_images_have_a_text_for_those_who_cannot_see_them(tmp_path):
    found = Nesting(page(tmp_path))
    assert [value for name, value in found.attributes if name == "alt"] == [EVIL]


def test_the_page_follows_light_and_dark_and_the_width(tmp_path):
    text = page(tmp_path)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert 'media="(max-width: 640px)"' in text


def test_cells_cards_and_links_are_escaped():
    table = Table("T", ("a", "b"), ((EVIL, Link(EVIL, EVIL)),), numeric=frozenset({"a"}), note=EVIL)
    text = markup.table(table) + markup.cards([Card(EVIL, EVIL, EVIL)]) + markup.folded(EVIL, EVIL)
    assert "<script" not in text
    assert 'class="number"' in text
    Nesting(text)


def test_a_number_and_its_unit_stay_on_one_line():
    text = markup.paragraphs(["95.7 ± 0.4 % for 12.3 GFLOP", "note"])
    assert "95.7&nbsp;±&nbsp;0.4&nbsp;% for 12.3&nbsp;GFLOP" in text
    assert text.count('class="lead"') == text.count('class="note"') == 1


def group_text(tmp_path, number, **options):
    found = compared(tmp_path, {f"x={EVIL}{at}": [0.1 + at / 100] for at in range(number)})
    it = Comparison("T", found=found, groups=found.groups, failed=[], **options)
    return group_page(it, [], base=tmp_path)


def test_the_page_of_several_runs_is_well_formed_and_escaped(tmp_path):
    text = group_text(tmp_path, 3, question=EVIL, remark=EVIL)
    assert "<script" not in text
    assert text.index('class="lead"') < text.index("alert") < text.index('class="note"')
    assert Nesting(text).tags.count("table") == 3


def test_what_has_no_colour_is_said_to_have_none(tmp_path):
    assert "pictures tell" not in group_text(tmp_path / "few", 3, question="")
    text = group_text(tmp_path / "many", 14, question="")
    assert "The pictures tell 12 of 14 configurations apart: the best by test accuracy" in text
