"""A real Chromium without a window, and what it notices on a page."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from playwright.async_api import Browser, BrowserContext, Page, Playwright, Response, async_playwright

PROGRAM = "/usr/bin/chromium-headless-shell"  # starts in half the time of the one with windows
# Runs as root in a container, and plays audio without a loudspeaker and without being clicked at.
FLAGS = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage"]
# A form that is refused is told by its page; a preview that the next one overtakes is wanted by nobody.
QUIET_ERRORS = ("the server responded with a status of 4", "htmx:afterRequest", "htmx:sendAbort")


@dataclass
class Notices:
    """What went wrong in a browser: errors on the console, uncaught exceptions, requests to other hosts."""

    home: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._request(request.url))
        page.on("response", self._response)
        page.on("dialog", self._dialog)

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(quiet in text for quiet in QUIET_ERRORS):
            self.errors.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.home}/", "data:", "blob:")) and url != self.home:
            self.foreign.append(url)

    def _response(self, response: Response) -> None:
        """A page may be refused or not there; what a page is made of may not."""
        request = response.request
        if response.status >= 400 and request.method == "GET" and request.resource_type != "document":
            self.errors.append(f"{response.status}: {response.url}")

    async def _dialog(self, dialog) -> None:
        self.dialogs.append(dialog.message)
        await dialog.dismiss()

    def assert_none(self) -> None:
        assert self.errors == []
        assert self.foreign == []
        assert self.dialogs == []


@dataclass
class Window:
    """A browser with cookies of its own, at home on one Rolltape."""

    context: BrowserContext
    notices: Notices

    async def tab(self, path: str = "") -> Page:
        page = await self.context.new_page()
        self.notices.watch(page)
        if path:
            await page.goto(f"{self.notices.home}{path}")
        return page

    async def sign_in(self, name: str, password: str) -> Page:
        page = await self.tab("/login")
        await page.fill("#name", name)
        await page.fill("#password", password)
        await page.press("#password", "Enter")
        await page.wait_for_url(lambda url: "/login" not in url)
        return page


@contextlib.asynccontextmanager
async def chromium(
    home: str,
    *,
    width: int = 1280,
    dark: bool = False,
    scripts: bool = True,
    zone: str = "UTC",
    flags: Sequence[str] = (),
) -> AsyncIterator[Window]:
    """A window that thinks of the Rolltape at the address `home`; gone at the end of the block."""
    async with async_playwright() as playwright, _launched(playwright, flags) as browser:
        context = await browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            timezone_id=zone,
            locale="en-GB",
            accept_downloads=True,
        )
        context.set_default_timeout(20_000)
        yield Window(context, Notices(home))
        await context.close()


@contextlib.asynccontextmanager
async def _launched(playwright: Playwright, flags: Sequence[str]) -> AsyncIterator[Browser]:
    browser = await playwright.chromium.launch(executable_path=PROGRAM, args=[*FLAGS, *flags])
    try:
        yield browser
    finally:
        await browser.close()
