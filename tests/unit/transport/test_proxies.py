"""Which proxy leads to which server, by the environment."""

from __future__ import annotations

import pytest

from cosmos.errors import Malformed
from cosmos.transport.proxies import Proxies, Proxy


def found(environ: dict[str, str], scheme: str = "http", host: str = "stars.example.org", port: int = 80) -> str:
    proxy = Proxies.of(environ).proxy(scheme, host, port)
    return "" if proxy is None else f"{proxy.host}:{proxy.port}"


def test_each_scheme_has_its_variable_and_the_lower_case_counts_first() -> None:
    environ = {
        "http_proxy": "http://one:1",
        "https_proxy": "two:2",
        "HTTPS_PROXY": "http://three:3",
        "all_proxy": "four:4",
    }
    assert (found(environ), found(environ, "https")) == ("one:1", "two:2")
    assert found({"HTTPS_PROXY": "three:3", "ALL_PROXY": "five:5"}, "https") == "three:3"
    assert found({"ALL_PROXY": "five:5"}) == found({"ALL_PROXY": "five:5"}, "https") == "five:5"
    assert found({}) == found({"http_proxy": "", "all_proxy": "four:4"}) == ""


def test_a_header_of_a_web_client_chooses_no_proxy() -> None:
    """httpoxy, CVE-2016-5385: a CGI program finds the client's header `Proxy:` in HTTP_PROXY."""
    assert found({"HTTP_PROXY": "http://evil:1"}) == ""


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_exempt"),
    [
        ("*", "stars.example.org", 80, True),
        ("example.org", "stars.example.org", 80, True),
        (".example.org", "stars.example.org", 80, True),
        ("a.org, STARS.example.org", "stars.EXAMPLE.org", 80, True),
        ("a.org stars.example.org", "stars.example.org", 80, True),
        ("tars.example.org", "stars.example.org", 80, False),
        ("stars.example.org:8080", "stars.example.org", 80, False),
        ("stars.example.org:80", "stars.example.org", 80, True),
        ("10.0.0.0/8", "10.1.2.3", 80, True),
        ("10.0.0.0/8", "11.1.2.3", 80, False),
        ("10.0.0.0/8", "stars.example.org", 80, False),
        ("10.0.0.0/99,x/y/z,[", "10.1.2.3", 80, False),
        ("::1", "::1", 80, True),
        ("fd00::/8", "fd12::1", 80, True),
        ("[::1]:81", "::1", 80, False),
        ("", "stars.example.org", 80, False),
        (",. ,", "stars.example.org", 80, False),
    ],
)
def test_no_proxy_names_hosts_domains_networks_and_ports(no_proxy: str, host: str, port: int, is_exempt: bool) -> None:
    environ = {"http_proxy": "http://one:1", "no_proxy": no_proxy, "NO_PROXY": "*"}
    assert (found(environ, "http", host, port) == "") is is_exempt


@pytest.mark.parametrize(
    "text",
    [
        "socks5://u:hunter2@proxy:1080", "https://u:hunter2@proxy:3128", "http://u:hunter2@proxy", "http://u:hunter2@:1",
        "http://u:hunter2@proxy:99999", "http://u:hunter2@proxy:1/path", "http://u:hunter2@p x:1", "u:hunter2@[::1:1",
        "http://u:hunter2@proxy:1?x", "http://u:hunter2@pr\noxy:1",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_an_error_without_its_value(text: str) -> None:
    with pytest.raises(Malformed, match="http_proxy: names no proxy") as caught:
        found({"http_proxy": text})
    assert "hunter2" not in f"{caught.value!r} {caught.value.hint}"


def test_a_password_of_a_proxy_is_sent_and_not_shown() -> None:
    proxy = Proxy.parse("http://me%40x:s%3Acret@[fd00::1]:3128", "https_proxy")
    assert proxy.login == "Basic bWVAeDpzOmNyZXQ="
    assert str(proxy) == "http://[fd00::1]:3128 (https_proxy)"
    assert "bWVAeD" not in repr(proxy)
    assert "cret" not in repr(Proxies.of({"http_proxy": "http://a:secret@b:1"}))
