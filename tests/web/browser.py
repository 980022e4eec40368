"""A real Chromium for the tests of a page: what it complains of, and what axe finds."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import sync_playwright

from tests.peers import missing, need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import httpx
    from playwright.sync_api import Browser, Page

AXE: Final = Path(__file__).resolve().parents[1] / ".peers" / "axe" / "axe.min.js"
FLAGS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever would leave this machine fails at once.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
AXE_RUN: Final = """async (only) => (await axe.run({runOnly: only})).violations.map(
    (found) => [found.id, found.nodes.map((node) => node.html)])"""
ALL_RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLOUR_RULES: Final = ("color-contrast", "link-in-text-block")
PHONE_PX, DESK_PX = 390, 1440


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium without a window."""
    program = need("chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=list(FLAGS)) as browser,
    ):
        yield browser


def known_as(client: httpx.Client) -> dict[str, Any]:
    """Return the options of a browser's page that has the login of a client of the same server."""
    cookies = [
        {"name": cookie.name, "value": cookie.value, "url": str(client.base_url)}
        for cookie in client.cookies.jar
    ]
    return {
        "base_url": str(client.base_url),
        "storage_state": {"cookies": cookies, "origins": []},
    }


def complaints_of(page: Page) -> list[str]:
    """Return the list into which go errors of the page, and of what its policy forbids."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda said: found.append(said.text) if said.type in {"error", "warning"} else None,
    )
    return found


def axe_violations(page: Page, rules: Sequence[str] = ALL_RULES) -> list[Any]:
    """Return what axe finds on a page, [] where all is well; ``rules``: tags of rules, or rules."""
    if not AXE.is_file():
        missing("axe")
    # By the debugger: the page's own policy forbids scripts in it.
    page.evaluate(AXE.read_text("utf-8"))
    found: list[Any] = page.evaluate(AXE_RUN, list(rules))
    return json.loads(json.dumps(found)) if found else []


def faults_of(page: Page, width_px: int) -> list[Any]:
    """Return what is wrong with a page at a width, in light and in dark: [] where all is well."""
    page.emulate_media(color_scheme="light")
    faults = axe_violations(page)
    page.emulate_media(color_scheme="dark")
    # The same elements at the same places: of axe's rules only these look at colours.
    faults += [["dark", *found] for found in axe_violations(page, COLOUR_RULES)]
    wide = page.evaluate("document.documentElement.scrollWidth")
    return [*faults, *([f"{wide} px wide"] if wide > width_px else [])]
