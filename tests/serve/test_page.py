"""The page in a real browser: searching, filtering, comparing, the map; by mouse, by keyboard, on a phone."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A folder to look at the screenshots in; they are thrown away otherwise.
SHOTS = os.environ.get("THEATRUM_SCREENSHOTS")
QUERY = "why did the plague spread"
KEY = "a-key-of-twenty-four-abc"

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=["desktop-light", "desktop-dark", "phone-light", "phone-dark"])
def look(request):
    return request.param


def opened(browser, address, look="desktop-light"):
    phone = look.startswith("phone")
    context = browser.new_context(
        viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 860},
        color_scheme=look.partition("-")[2],
        has_touch=phone,
        is_mobile=phone,
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(address) or page.complaints.append(request.url))
    page.goto(address)
    return page


@pytest.fixture
def page(browser, address):
    page = opened(browser, address)
    expect(page.locator("#welcome h1")).to_have_text("241 documents")
    yield page
    assert page.complaints == []
    page.context.close()


def ask(page, query=QUERY):
    page.fill("#query", query)
    expect(page.locator("#hits .hit").first).to_be_visible()


def test_every_view_fits_every_screen(browser, address, look, tmp_path):
    page = opened(browser, address, look)
    folder = Path(SHOTS or tmp_path)
    expect(page.locator("#welcome h1")).to_be_visible()
    ask(page)
    views = {
        "search": lambda: expect(page.locator("#hits .swatch.sentence").first).to_be_visible(),
        "compare": lambda: expect(page.locator("#right-hits .hit").first).to_be_visible(),
        "map": lambda: expect(page.locator("#making")).to_be_hidden(),
    }
    for view, shown in views.items():
        page.click(f"#tab-{view}")
        shown()
        shot = folder / f"{look}-{view}.png"
        page.screenshot(path=shot)
        assert shot.stat().st_size > 10_000
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.goto(f"{address}/docs")
    page.screenshot(path=folder / f"{look}-api.png")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.complaints == []
    page.context.close()


def test_hits_come_with_their_reasons(page):
    ask(page)
    first = page.locator("#hits .hit").first
    expect(first.locator("h2")).to_have_text("Black Death")
    expect(first.locator("mark").first).to_have_text(re.compile("plague|spread", re.IGNORECASE))
    expect(first.locator(".why")).to_contain_text("nearest sentence, 0.")
    expect(first.locator(".near").first).to_be_visible()
    expect(page.locator("#status")).to_contain_text("The best 10 of 241 documents")
    page.click("#more")
    expect(page.locator("#hits .hit")).to_have_count(20)
    expect(page.locator("#hits .rank").last).to_have_text("20")


def test_facets_narrow_the_search_and_are_remembered(page):
    ask(page)
    page.locator(".value", has_text="true").locator("input").check()
    page.get_by_label("length from").fill("150")
    page.get_by_label("length from").press("Enter")
    expect(page.locator("#chosen")).to_have_text("(2)")
    fitting = re.compile(r"length (1[5-9]|[2-9]\d)\d · even true")
    expect(page.locator("#hits .facts", has_text=fitting)).to_have_count(10)
    page.reload()
    expect(page.locator("#query")).to_have_value(QUERY)
    expect(page.locator("#chosen")).to_have_text("(2)")
    expect(page.locator("#hits .facts").first).to_contain_text("even true")
    page.click("#clear")
    expect(page.locator("#chosen")).to_have_text("")


def test_two_pipelines_side_by_side(page):
    ask(page)
    page.click("#tab-compare")
    expect(page.locator("#left-hits .hit")).to_have_count(10)
    expect(page.locator("#right")).to_have_value("small")
    page.select_option("#right", "winner/bm25")
    expect(page.locator("#status")).to_have_text(re.compile(r"\d+ of the first 10 in common"))
    for side in ("left", "right"):
        expect(page.locator(f"#{side}-hits .badge").first).to_have_text(re.compile("same place|there|only here"))
    page.select_option("#right", "winner")
    expect(page.locator("#status")).to_have_text("10 of the first 10 in common")
    page.locator("#left-hits .hit").nth(3).hover()
    expect(page.locator("#right-hits .hit.twin")).to_have_count(1)
    page.click("#tab-search")
    page.locator(".value", has_text="true").locator("input").check()
    page.click("#tab-compare")
    expect(page.locator("#status")).to_have_text("10 of the first 10 in common under your filters")


def test_the_map_shows_texts_under_the_pointer_and_by_keys(page):
    ask(page)
    page.click("#tab-map")
    expect(page.locator("#making")).to_be_hidden()
    expect(page.locator("#caption")).to_contain_text("All 241 documents")
    expect(page.locator("#legend")).to_contain_text("found by your query")
    box = page.locator("#canvas").bounding_box()
    tip = page.locator("#tip")
    for step in range(400):  # over the map until there is a point
        page.mouse.move(box["x"] + 100 + (step * 37) % (box["width"] - 200), box["y"] + 60 + step)
        if tip.is_visible():
            break
    expect(tip.locator("strong")).not_to_be_empty()
    page.focus("#canvas")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#spoken")).not_to_be_empty()
    for key in ("ArrowDown", "ArrowLeft", "ArrowUp", "+", "-", "0", "ArrowUp"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    expect(page.locator("#opened h2")).not_to_be_empty()
    expect(page.locator("#opened")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#canvas")).to_be_focused()


def test_the_text_stays_after_a_tap_on_the_map(browser, address):
    page = opened(browser, address, "phone-light")
    page.click("#tab-map")
    expect(page.locator("#making")).to_be_hidden()
    canvas = page.locator("#canvas")
    expect(canvas).to_be_visible()  # the note may be hidden before the map is drawn
    box = canvas.bounding_box()
    for step in range(60):  # until a point is hit
        canvas.tap(position={"x": 40 + (step * 53) % (box["width"] - 80), "y": 40 + (step * 31) % (box["height"] - 80)})
        if page.locator("#tip").is_visible():
            break
    expect(page.locator("#opened h2")).not_to_be_empty()
    expect(page.locator("#tip")).to_be_visible()
    expect(page.locator("#tip strong")).to_have_text(page.locator("#opened h2").inner_text())
    assert page.complaints == []
    page.context.close()


def test_by_keyboard_alone(page):
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("plague")
    page.keyboard.press("Enter")
    expect(page.locator("#hits .hit").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#hits .hit").first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#hits .hit").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#hits .hit").nth(1)).to_have_class(re.compile("whole"))
    page.keyboard.press("Escape")
    expect(page.locator("#query")).to_be_focused()
    page.focus("#tab-search")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-compare")).to_be_focused()
    expect(page.locator("#compare")).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()


def test_documents_are_text_whatever_they_hold(page):
    ask(page, "quoxotic zeppelins")
    first = page.locator("#hits .hit").first
    expect(first).to_contain_text("<script>document.title='broken in'</script>")
    expect(first.locator("h2")).to_contain_text("<img src=x")
    assert first.locator("img, script, b").count() == 0
    page.goto(page.url.partition("#")[0] + "#q=" + "%3Cimg src=x onerror=alert(1)%3E&pipeline=<b>&filters={broken")
    expect(page.locator("#query")).to_have_value("<img src=x onerror=alert(1)>")
    assert page.title() == "theatrum"


def test_nothing_found_and_mistakes_are_said(page):
    page.select_option("#pipeline", "winner/bm25")
    page.fill("#query", "xyzzy")
    expect(page.locator("#status")).to_have_text("Nothing found among 241 documents.")
    page.route("**/search", lambda route: route.abort())
    page.fill("#query", "plague")
    expect(page.locator("#status")).to_have_class("bad")
    page.complaints.clear()  # the browser complains of the request that was cut off


def test_a_key_is_asked_for(browser, listening, words_only):
    with listening([words_only], api_keys=(KEY,)) as address:
        page = opened(browser, address)
        page.fill("#key", "a-wrong-key-of-some-length")
        page.keyboard.press("Enter")
        expect(page.locator("#ask-key")).to_be_visible()
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        expect(page.locator("#welcome h1")).to_have_text("241 documents")
        ask(page)
        assert KEY not in page.url
        page.context.close()
