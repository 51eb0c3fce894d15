from __future__ import annotations

import socket

import pytest

from theatrum.serve.access import KEYS_VARIABLE, check_exposure, is_loopback, key_allowed, listen, local_name, read_keys

KEY = "a-key-of-twenty-four-abc"


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer  {KEY} ", True),
        (f"Basic {KEY}", False),
        (f"Bearer {KEY}x", False),
        (f"Bearer {KEY[:-1]}", False),
        ("Bearer", False),
        ("", False),
        (None, False),
        ("Bearer \udcff", False),
    ],
)
def test_a_key_must_be_exactly_one_of_those(header, allowed):
    assert key_allowed(header, ["another-key-of-some-length", KEY]) is allowed
    assert not key_allowed(header, [])


def test_keys_come_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(KEYS_VARIABLE, f" {KEY} , {KEY}2,")
    assert read_keys(None) == (KEY, KEY + "2")
    (tmp_path / "keys").write_text(f"# of Ada\n{KEY}\n\n")
    assert read_keys(tmp_path / "keys") == (KEY,)
    monkeypatch.delenv(KEYS_VARIABLE)
    assert read_keys(None) == ()


@pytest.mark.parametrize(
    ("content", "message"), [("# none\n", "holds no key"), ("short", "key 1"), (f"{KEY}\n{KEY} {KEY}", "key 2")]
)
def test_doubtful_keys_are_refused_and_not_shown(content, message, tmp_path):
    (tmp_path / "keys").write_text(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_keys(tmp_path / "keys")
    assert "short" not in str(refused.value)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "example.org"])
def test_beyond_this_machine_only_with_keys(host):
    assert not is_loopback(host)
    with pytest.raises(ValueError, match="--keys"):
        check_exposure(host, ())
    check_exposure(host, (KEY,))
    check_exposure("127.0.0.1", ())


@pytest.mark.parametrize("name", ["localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "", "evil.example:80"])
def test_other_names_are_not_this_machine(name):
    assert not local_name(name)


def test_answers_are_sent_without_delay():
    with listen("127.0.0.1", 0) as door, socket.create_connection(door.getsockname()[:2]):
        accepted, _ = door.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP  # what asyncio looks at before it sets TCP_NODELAY


def test_a_port_that_is_taken_is_said():
    with listen("127.0.0.1", 0) as door, pytest.raises(OSError, match="take another --port"):
        listen("127.0.0.1", door.getsockname()[1])
