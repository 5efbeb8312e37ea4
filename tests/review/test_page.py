"""The page in a browser: judged by keyboard alone, saved, opened again, applied."""

import json

import pytest

from medseg.review import apply, worksheet
from tests.browser import browser

pytestmark = pytest.mark.browser

SAID = "return document.querySelector('[role=status]').textContent"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("browser")) as session:
        yield session


@pytest.fixture
def results(make_results):
    """Six cases; the page shows the empty one first, then by name."""
    names = ["a", "b", "c", "d", 'hostile "<b>\r\n<script>']
    return make_results({**{name: {} for name in names}, "z empty": {"liver": slice(0)}})


@pytest.fixture
def page(chromium, results):
    """The page of the results, opened for the first time."""
    path = worksheet(results).path
    chromium.requests()
    chromium.open(path)
    chromium.run("localStorage.clear(); window.onbeforeunload = null; unsaved = false")
    chromium.open(path)
    yield chromium
    chromium.run("unsaved = false")
    for file in chromium.downloads.iterdir():
        file.unlink()


def current(page):
    return page.run("return document.querySelector('article.current h2').textContent")


def progress(page):
    return page.run("return document.querySelector('#progress').textContent")


def shown(page):
    return page.run("return [...document.querySelectorAll('article:not([hidden]) h2')]"
                    ".map((name) => name.textContent)")  # fmt: skip


def test_decisions_by_keyboard_are_saved_and_applied(page, results, tmp_path):
    assert current(page) == "z empty"
    page.press("a")
    assert current(page) == "a"
    page.press("r", "2", "Enter")  # a ready reason
    page.press("j")  # b is left
    page.press("e", *"Tip <b>", "Enter")
    page.press("a", "a")
    assert progress(page).startswith("5 of 6 decided")
    page.press("s")
    saved = page.downloaded("decisions.json")
    told = json.loads(saved.read_text())["decisions"]
    assert [(one["case"], one["verdict"], one["reason"]) for one in told] == [
        ("z empty", "accept", ""),
        ("a", "reject", "Marks what is not the structure"),
        ("c", "edit", "Tip <b>"),
        ("d", "accept", ""),
        ('hostile "<b>\r\n<script>', "accept", ""),
    ]
    applied = apply(results, saved, tmp_path / "to")
    assert applied.exit_status == 0
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == [
        "d", 'hostile "<b>\r\n<script>', "worksheet.json", "z empty"]  # fmt: skip
    assert [one.case for one in applied.of("undecided")] == ["b"]


def test_nothing_but_the_page_itself_is_asked_for(page):
    page.press("j", "j", "j", "z", "t", "?")
    page.press("Escape")
    page.press("s")
    page.downloaded("decisions.json")
    addresses = page.requests()
    assert addresses
    assert {address.split(":")[0] for address in addresses} <= {"file", "data", "blob"}
    assert {address for address in addresses if address.startswith("file")} == {
        page.run("return location.href")
    }
    assert page.complaints() == []


def test_a_decision_is_undone_and_looked_at_again(page):
    page.press("a", "a", "u")
    assert current(page) == "a"
    assert progress(page).startswith("1 of 6 decided")
    page.press("u", "u")
    assert current(page) == "z empty"
    assert progress(page) == "0 of 6 decided"


def test_only_undecided_cases_are_shown_when_asked_for(page):
    page.press("f", "a", "j", "a")
    assert shown(page)[:-1] == ["a", "c", "d"]
    assert current(page) == "c"
    page.press("Left")
    assert current(page) == "a"
    page.press("f")
    assert len(shown(page)) == 6


def test_a_reason_is_asked_for_and_can_be_called_off(page):
    page.press("r", "Enter")  # no reason: it goes on asking
    assert page.run("return document.querySelector('#ask').open")
    page.press("Escape")
    assert progress(page) == "0 of 6 decided"
    assert current(page) == "z empty"


def test_decisions_outlive_the_window_and_come_back_from_a_file(page, results):
    page.press("a", "e", "1", "Enter", "s")
    saved = page.downloaded("decisions.json")
    page.open(results / "worksheet.html")
    assert progress(page).startswith("2 of 6 decided")
    page.run("unsaved = false; localStorage.clear()")
    page.open(results / "worksheet.html")
    assert progress(page) == "0 of 6 decided"
    told = json.loads(saved.read_text())
    told["decisions"][0]["mask_sha256"] = "0" * 64  # of a mask that is no more
    told["decisions"].append({**told["decisions"][1], "case": "stranger"})
    saved.write_text(json.dumps(told))
    page.choose_file("#file", saved)
    page.wait_for(SAID, "1 decisions opened, 2 left out: their masks are not on this page")
    assert progress(page).startswith("1 of 6 decided")


def test_a_file_that_is_none_of_ours_is_refused(page, tmp_path):
    for number, text in enumerate(("{", "[]", "null", '{"format": 1, "decisions": [null]}')):
        (tmp_path / f"{number}.json").write_text(text)
        page.choose_file("#file", tmp_path / f"{number}.json")
        page.wait_for(SAID, "This is no decisions.json of a worksheet")
        page.run("say('')")
    assert page.complaints() == []


SCROLLED = "scrollTo({ top: document.querySelectorAll('article')[3].offsetTop - 40 })"


def test_keys_act_on_the_case_in_the_middle_of_the_window_once_one_scrolls(page):
    page.run("dispatchEvent(new WheelEvent('wheel')); " + SCROLLED)
    page.wait_for("return document.querySelector('article.current h2').textContent", "c")
    page.press("a", "s")
    (one,) = json.loads(page.downloaded("decisions.json").read_text())["decisions"]
    assert one["case"] == "c"


def test_a_case_that_was_scrolled_off_the_screen_unnoticed_is_not_decided(page):
    page.run(SCROLLED)
    page.press("a", "s")
    (one,) = json.loads(page.downloaded("decisions.json").read_text())["decisions"]
    assert one["case"] == "c"


def test_what_moves_on_the_page_takes_no_decision_to_another_case(page):
    page.press("j", "j")
    page.run("document.querySelectorAll('article')[1].style.minHeight = '3000px'")
    page.run("return new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert current(page) == "b"


def test_the_page_is_worked_by_tab_and_enter_and_names_what_it_does(page):
    # as for a reader who has switched single letters off
    page.press("?")
    page.run("document.querySelector('#letters').click()")
    page.press("Escape", "a")
    assert progress(page) == "0 of 6 decided"
    page.run("document.querySelector('article h2').focus()")
    page.press("Tab")
    role = "return document.activeElement.parentElement.getAttribute('aria-label')"
    assert page.run(role) == "Decision for z empty"
    page.press("Enter")
    assert progress(page).startswith("1 of 6 decided")
    assert page.run("return document.activeElement.textContent") == "a"
    assert page.run(SAID) == "Accepted: z empty. 1 of 6 decided"
    nameless = page.run(
        "return [...document.querySelectorAll('button, input')].filter((one) => "
        "!one.getAttribute('aria-label') && !one.textContent.trim()).map((one) => one.outerHTML)"
    )
    assert nameless == []
