"""Enter sends a message, but not while an input method composes one."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.pages import CustomerPage, Windows

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

AN_INPUT_METHODS_KEY = 229


@pytest.fixture
def customer(windows: Windows, urls: list[str], request: pytest.FixtureRequest) -> CustomerPage:
    """Chat under the name of the test."""
    page = windows.customer(urls[0])
    page.enter(request.node.name[:64])
    expect(page.box).to_be_focused()
    return page


def press_enter(customer: CustomerPage, key_code: int = AN_INPUT_METHODS_KEY) -> None:
    """Dispatch an Enter as Safari reports it, outside any composition."""
    customer.box.evaluate(
        """(box, keyCode) => box.dispatchEvent(new KeyboardEvent("keydown",
            { key: "Enter", keyCode, bubbles: true, cancelable: true }))""",
        key_code,
    )


def test_enter_and_shift_enter(customer: CustomerPage) -> None:
    """Shift+Enter makes a new line, Enter sends."""
    customer.box.press_sequentially("one")
    customer.box.press("Shift+Enter")
    customer.box.press_sequentially("two")
    customer.box.press("Enter")
    customer.sees("one\ntwo")
    expect(customer.box).to_have_value("")


def test_nothing_is_no_message(customer: CustomerPage) -> None:
    """Enter in an empty box, or one with spaces, sends nothing."""
    customer.say("")
    customer.say("  \n ")
    customer.say("something")
    customer.sees("something")
    assert customer.texts() == ["something"]


def test_enter_that_picks_a_candidate(customer: CustomerPage) -> None:
    """In Chrome's order an Enter during composition does not send; the next one does."""
    keyboard = customer.page.context.new_cdp_session(customer.page)
    customer.box.evaluate(
        """box => box.addEventListener("keydown", (event) => {
            box.dataset.composing = String(event.isComposing);
        })"""
    )
    for text in ("n", "ni", "ni h", "ni hao"):
        at = {"selectionStart": len(text), "selectionEnd": len(text)}
        keyboard.send("Input.imeSetComposition", {"text": text, **at})
    keyboard.send(
        "Input.dispatchKeyEvent",
        {
            "type": "rawKeyDown",
            "key": "Enter",
            "code": "Enter",
            "windowsVirtualKeyCode": AN_INPUT_METHODS_KEY,
        },
    )
    expect(customer.box).to_have_attribute("data-composing", "true")
    expect(customer.box).to_have_value("ni hao")
    keyboard.send("Input.insertText", {"text": "你好"})
    expect(customer.box).to_have_value("你好")
    assert customer.texts() == []
    customer.box.press("Enter")
    expect(customer.box).to_have_attribute("data-composing", "false")
    customer.sees("你好")


def test_enter_after_the_composition_ended(customer: CustomerPage) -> None:
    """In Safari's order the composition ends before the Enter that picked: it does not send."""
    sent_at_once = customer.box.evaluate(
        """box => {
            const enter = { key: "Enter", keyCode: 229, bubbles: true, cancelable: true };
            box.dispatchEvent(new CompositionEvent("compositionstart"));
            box.value = "ㄋㄧˇ";
            box.dispatchEvent(new CompositionEvent("compositionend"));
            box.dispatchEvent(new KeyboardEvent("keydown", enter));
            return box.value === "";
        }"""
    )
    assert sent_at_once is False
    assert customer.texts() == []
    # The page's rule is about 50 ms by the browser's clock.
    customer.page.evaluate("() => new Promise((resolve) => { setTimeout(resolve, 60); })")
    press_enter(customer)  # some builds go on saying 229; this is a real Enter
    customer.sees("ㄋㄧˇ")


def test_enter_during_a_composition_that_says_nothing(customer: CustomerPage) -> None:
    """An Enter between start and end of a composition does not send, whatever it says itself."""
    customer.box.evaluate(
        """box => {
            box.dispatchEvent(new CompositionEvent("compositionstart"));
            box.value = "にほん";
        }"""
    )
    press_enter(customer, key_code=13)
    expect(customer.box).to_have_value("にほん")
    customer.box.evaluate('box => box.dispatchEvent(new CompositionEvent("compositionend"))')
    press_enter(customer, key_code=13)
    customer.sees("にほん")


def test_enter_in_the_name(windows: Windows, urls: list[str]) -> None:
    """An Enter that picks a candidate does not send the name in either."""
    customer = windows.customer(urls[0])
    keyboard = customer.page.context.new_cdp_session(customer.page)
    customer.name.focus()
    at = {"selectionStart": 3, "selectionEnd": 3}
    keyboard.send("Input.imeSetComposition", {"text": "wan", **at})
    customer.name.press("Enter")
    expect(customer.name).to_be_visible()
    keyboard.send("Input.insertText", {"text": "王"})
    customer.name.press("Enter")
    expect(customer.page.get_by_text("You are 王")).to_be_visible()
