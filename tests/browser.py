"""Prefect's pages in a real browser, by what a person reads on them."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

PATIENCE_MILLISECONDS = 120_000  # of a busy machine
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SUBMITTED = re.compile(r"/(create_flow_run|resume)$")
ATTEMPTS, LOCKED = 5, 503
SIZE = {"width": 1200, "height": 960}


@contextmanager
def browsing(ui: str) -> Iterator["Ui"]:
    """A page of a browser without a window. The pages ask nobody but the server."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if not found:
        pytest.skip("no Chromium on the PATH. Debian and Ubuntu: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MILLISECONDS)
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        try:
            yield Ui(page, ui)
        finally:
            browser.close()


class Ui:
    """What people do there."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address

    def open_form(self, deployment: str) -> None:
        self.page.goto(f"{self.address}/deployments/deployment/{deployment}/run")

    def fill(self, field: str, value: str) -> None:
        self._field(field).locator("input[type=number], input[type=text], textarea").first.fill(value)

    def switch_on(self, field: str) -> None:
        self._field(field).get_by_role("switch").click()

    def submit(self) -> None:
        """Again while SQLite is locked: that is a 503, which the page tells as "Oops"."""
        for _ in range(ATTEMPTS):
            with self.page.expect_response(SUBMITTED) as answer:
                self.page.get_by_role("button", name="Submit").click()
            if answer.value.status != LOCKED:
                break

    def is_told(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def open_run(self, run: str) -> None:
        self.page.goto(f"{self.address}/runs/flow-run/{run}")

    def approve(self, plan: str, *, approver: str, reason: str, picture: Path) -> None:
        """The run that is shown waits for it."""
        self.page.get_by_role("button", name="Resume").click()
        self.is_told(f"Apply plan {plan}")
        self.switch_on("Approved")
        self.fill("Approver", approver)
        self.fill("Reason", reason)
        self.picture(picture)
        self.submit()

    def open_report(self, key: str) -> str:
        """The newest page that runs of a procedure left; its text."""
        self.page.goto(f"{self.address}/artifacts/key/{key}")
        self.page.locator("a[href*='/artifacts/artifact/']").first.click()
        self.page.wait_for_url("**/artifacts/artifact/*")
        page = self.page.locator(".markdown-renderer", has_text="asked").first
        page.wait_for()
        return page.inner_text()

    def picture(self, file: Path) -> None:
        self.page.screenshot(path=file)

    def _field(self, name: str) -> Locator:
        """The form's field of this name: a label, a help text and what is filled in."""
        return self.page.locator("label", has_text=name).first.locator("xpath=../..")
