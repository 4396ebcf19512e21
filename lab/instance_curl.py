"""`curl` for instances on a host without one: its everyday options, and localhost is the instance."""

import argparse
import re
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit

# The exit codes of curl.
OK, NOT_RESOLVED, NOT_CONNECTED, HTTP_ERROR, TIMED_OUT = 0, 6, 7, 22, 28
LOCAL_NAMES = ("localhost", "127.0.0.1")
FORM = "application/x-www-form-urlencoded"


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    url = options.url if "://" in options.url else f"http://{options.url}"
    request = build(options, at_instance(url, options.address))
    try:
        with urllib.request.urlopen(request, timeout=options.max_time) as answer:  # noqa: S310 - that is its purpose
            return finish(options, answer.status, answer.read())
    except HTTPError as refusal:
        body = b"" if options.fail else refusal.read()
        return finish(options, refusal.code, body)
    except TimeoutError:
        return complain(options, TIMED_OUT, f"Operation timed out after {options.max_time} seconds")
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            return complain(options, TIMED_OUT, f"Operation timed out after {options.max_time} seconds")
        return complain(options, NOT_CONNECTED, f"Failed to connect to {urlsplit(url).netloc}: {error.reason}")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("curl", add_help=False)
    top.add_argument("address")
    top.add_argument("-f", "--fail", action="store_true")
    top.add_argument("-s", "--silent", action="store_true")
    top.add_argument("-S", "--show-error", action="store_true")
    top.add_argument("-L", "--location", action="store_true")
    top.add_argument("-m", "--max-time", type=float)
    top.add_argument("-o", "--output")
    top.add_argument("-w", "--write-out", default="")
    top.add_argument("-H", "--header", action="append", default=[])
    top.add_argument("-X", "--request")
    top.add_argument("-d", "--data", "--data-ascii", action="append", dest="data")
    top.add_argument("url")
    return top


def build(options: argparse.Namespace, url: str) -> urllib.request.Request:
    """Data makes it a POST of a form, unless something else is said."""
    body = "&".join(options.data).encode() if options.data else None
    headers = {"Content-Type": FORM} if options.data else {}
    headers |= dict(re.split(r":\s*", one, maxsplit=1) for one in options.header)
    method = options.request or ("GET" if body is None else "POST")
    return urllib.request.Request(url, body, headers, method=method)  # noqa: S310


def at_instance(url: str, address: str) -> str:
    parts = urlsplit(url)
    if parts.hostname not in LOCAL_NAMES:
        return url
    return urlunsplit(parts._replace(netloc=f"{address}:{parts.port}" if parts.port else address))


def finish(options: argparse.Namespace, status: int, body: bytes) -> int:
    if options.output:
        Path(options.output).write_bytes(body)
    else:
        sys.stdout.buffer.write(body)
    words = options.write_out.replace("%{http_code}", f"{status:03}").replace("%{response_code}", f"{status:03}")
    sys.stdout.buffer.write(words.replace("\\n", "\n").encode())
    if options.fail and status >= 400:
        return complain(options, HTTP_ERROR, f"The requested URL returned error: {status}")
    return OK


def complain(options: argparse.Namespace, code: int, words: str) -> int:
    if code != HTTP_ERROR:
        finish(argparse.Namespace(output=None, fail=False, write_out=options.write_out), 0, b"")
    if not options.silent or options.show_error:
        sys.stderr.write(f"curl: ({code}) {words}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
