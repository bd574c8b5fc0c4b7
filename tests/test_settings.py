"""Settings: who goes before whom, and what an error names."""

from __future__ import annotations

from pathlib import Path

import pytest

from liaison.settings import DEFAULT, NAMES, Settings, load_settings
from liaison.words.errors import Malformed, NotReady


@pytest.fixture
def home(tmp_path):
    (tmp_path / "N").mkdir()
    return tmp_path / "N"


def test_by_default_everything_is_in_the_home(home):
    found = load_settings(home)
    assert found.settings == Settings(home=home)
    assert found.settings.guard == home / "guard"
    assert found.settings.database == f"sqlite:///{home}/node.db"
    assert found.settings.key("log") == home / "keys" / "log.key"
    assert (found.settings.host, found.settings.port) == ("127.0.0.1", 8470)
    assert found.sources == dict.fromkeys(NAMES, DEFAULT)
    assert found.file is None


def test_an_option_goes_before_the_environment_before_the_file_before_the_default(home):
    (home / "node.toml").write_text('listen = "127.0.0.1:3"\nguard = "/file"\nkeys = "/file"\n')
    found = load_settings(
        home,
        options={"listen": "127.0.0.1:1", "guard": None},
        environment={
            "LIAISON_NODE_LISTEN": "127.0.0.1:2",
            "LIAISON_NODE_GUARD": "/environment",
            "LIAISON_NODE_CONFIG": "is for the command line",
            "LIAISON_HOME": "so is this",
        },
        begun={"listen": "127.0.0.1:4"},
    )
    assert found.settings.port == 1
    assert found.settings.guard == Path("/environment")
    assert found.settings.keys == Path("/file")
    assert found.sources == {
        "listen": "--listen",
        "guard": "LIAISON_NODE_GUARD",
        "keys": f"keys in {home}/node.toml",
        **dict.fromkeys(set(NAMES) - {"listen", "guard", "keys"}, DEFAULT),
    }
    assert load_settings(home, begun={"listen": "127.0.0.1:4"}).settings.port == 3
    (home / "node.toml").unlink()
    assert load_settings(home, begun={"listen": "127.0.0.1:4"}).settings.port == 4


def test_a_path_in_a_file_is_taken_from_where_the_file_is(home, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "n.toml").write_text(
        'guard = "second/guard"\nkeys = "/absolute"\ntls_key = "tls/key.pem"\n'
    )
    found = load_settings(home, config=tmp_path / "etc" / "n.toml").settings
    assert found.guard == tmp_path / "etc" / "second" / "guard"
    assert found.keys == Path("/absolute")
    assert found.tls_key == tmp_path / "etc" / "tls" / "key.pem"


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:65535", "node.example:1", "[::1]:80"])
def test_an_address_has_a_host_and_a_port(home, address):
    found = Settings(home=home, listen=address)
    assert f"{found.host}:{found.port}" == address.replace("[", "").replace("]", "")


SUCH = 'nothing was done · such as listen = "127.0.0.1:8470"'


@pytest.mark.parametrize(
    "address",
    ["8470", "127.0.0.1", "127.0.0.1:", ":8470", "[]:1", "h:65536", "h:-1", "h:8_0", "h:٣"],
)
def test_an_address_that_is_none_is_named_with_its_setting_and_where_it_was_said(home, address):
    with pytest.raises(Malformed) as caught:
        load_settings(home, environment={"LIAISON_NODE_LISTEN": address})
    assert str(caught.value) == f"LIAISON_NODE_LISTEN: not ADDRESS:PORT: {address} · {SUCH}"
    with pytest.raises(Malformed) as caught:
        load_settings(home, options={"listen": address})
    assert str(caught.value).startswith("--listen: not ADDRESS:PORT: ")


def refused(home: Path, text: str) -> str:
    (home / "node.toml").write_text(text)
    with pytest.raises(Malformed) as caught:
        load_settings(home)
    return str(caught.value).replace(str(home), "N")


def test_each_setting_that_is_wrong_is_named(home):
    assert refused(home, "listen = 8470\nguard = 3\n") == (
        "listen in N/node.toml: input should be a valid string; "
        "guard in N/node.toml: input is not a valid path · nothing was done · "
        'such as listen = "127.0.0.1:8470", guard = "/mnt/second/liaison.guard"'
    )


def test_a_name_that_is_no_setting_is_named_and_what_was_meant(home):
    assert refused(home, 'gaurd = "/g"\n') == (
        "gaurd in N/node.toml: there is no such setting · nothing was done · did you mean guard?"
    )
    assert refused(home, "[listen]\nport = 1\n").startswith(
        "listen in N/node.toml: input should be"
    )
    assert refused(home, 'home = "/h"\n').endswith(f"the settings are {', '.join(NAMES)}")
    (home / "node.toml").unlink()
    with pytest.raises(Malformed) as caught:
        load_settings(home, environment={"LIAISON_NODE_LISTEM": "127.0.0.1:1"})
    assert str(caught.value) == (
        "LIAISON_NODE_LISTEM: there is no such setting · nothing was done · did you mean listen?"
    )


def test_a_file_that_is_not_toml_says_where(home):
    told = refused(home, 'listen = "127.0.0.1:1"\nguard /mnt\n')
    assert told.startswith("N/node.toml is not TOML: ")
    assert "line 2" in told
    assert told.endswith('a line is like this: listen = "127.0.0.1:8470"')
    (home / "node.toml").write_bytes(b"listen = \xff")
    with pytest.raises(Malformed, match="is not TOML: 'utf-8' codec"):
        load_settings(home)


def test_a_file_that_was_named_must_be_there(home, tmp_path):
    with pytest.raises(NotReady, match="--config: there is no file"):
        load_settings(home, config=tmp_path / "n.toml")
    with pytest.raises(NotReady, match="can't be read: Is a directory"):
        load_settings(home, config=tmp_path)


SECRET = "hunter2"
URLS = [
    f"postgresql://liaison:{SECRET}@db.example/liaison",
    f"postgresql://liaison:{SECRET}@db.example:5433/liaison?sslmode=verify-full",
]


@pytest.mark.parametrize("url", URLS)
def test_a_password_is_not_shown(home, url):
    (home / "node.toml").write_text(f'database = "{url}"\n')
    found = load_settings(home)
    assert found.settings.database == url
    assert SECRET not in found.shown("database") + repr(found)
    assert "postgresql://liaison@db.example" in found.shown("database")
    assert found.is_secret_in_file
    assert not load_settings(home, options={"database": url}).is_secret_in_file
    assert not load_settings(home, options={"database": "sqlite:////d"}).is_secret_in_file


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://liaison:{SECRET}@db.example/liaison",
        f"postgresql://liaison:{SECRET}@db.example",
        f"postgresql://db.example/liaison?password={SECRET}",
        f"liaison:{SECRET}",
    ],
)
def test_a_password_is_not_in_the_error_either(home, url):
    told = refused(home, f'database = "{url}"\n')
    assert told.startswith("database in N/node.toml: ")
    assert SECRET not in told
