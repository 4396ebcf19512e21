"""Tells people: a short text to the channel that a Prefect Secret block names as an apprise URL."""

import logging

import apprise
from prefect.blocks.system import Secret

from tasks.errors import RunbookError
from tasks.kinds import action

BLOCK = "notification-url"
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it would log the URL that it can't parse or reach


class NotNotified(RunbookError):
    """The channel did not take the message. Everything else of the run was done."""


@action
def notify(title: str, text: str) -> bool:
    """Whether it was sent; False where no channel is configured.

    Raises:
        NotNotified: it is configured and does not work. The URL, which may hold a token, is in no message.
    """
    try:
        block = Secret.load(BLOCK)
    except ValueError:  # Prefect's word for a block that does not exist
        return False
    channel = apprise.Apprise()
    url = str(block.value.get_secret_value())  # type: ignore[union-attr]
    if not channel.add(url):
        raise NotNotified(f"the Secret block {BLOCK} holds no URL that apprise knows, expected such as slack://...")
    if not channel.notify(body=text, title=title):
        raise NotNotified(f"the channel of the Secret block {BLOCK} did not take the message: look at its service")
    return True
