"""The pages of destinations, keys and transfers, as a browser without scripts uses them."""

import stat

import pytest

from tests.servers.sshd import sshd
from tests.web.reading import read

GOOD = {
    "name": "NAS",
    "kind": "ssh",
    "host": "nas.lan",
    "port": "22",
    "user": "radio",
    "key_file": "id",
    "directory": "shows",
}
BAD = [
    ("name", "", "A name is needed."),
    ("host", "-oProxyCommand=id", "A host is a name or an address"),
    ("host", "", "needs a host"),
    ("port", "70000", "less than or equal to 65535"),
    ("port", "ssh", "valid integer"),
    ("user", "root; id", "A user name has letters"),
    ("key_file", "../../etc/shadow", "`..` has no place in it."),
    ("directory", "", "at least 1 character"),
    ("directory", "a/../../b", "`..` has no place in it."),
    ("bandwidth_limit", "fast", "valid integer"),
    ("bandwidth_limit", "0", "greater than or equal to 1024"),
]


async def test_a_destination_that_is_typed_is_there_afterwards(client):
    answer = await client.request("POST", "/destinations/new", data=GOOD | {"bandwidth_limit": "500"})
    page = read((await client.request("GET", answer.headers["location"])).text)

    (made,) = (await client.call("GET", "/api/destinations"))["items"]
    assert answer.status_code == 303
    assert page.one("h1").text == "NAS"
    assert made["bandwidth_limit"] == 500 * 1024


@pytest.mark.parametrize(("field", "typed", "sentence"), BAD)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(client, field, typed, sentence):
    answer = await client.request("POST", "/destinations/new", data=GOOD | {"user": "kept"} | {field: typed})
    page = read(answer.text)

    assert answer.status_code == 422
    assert sentence in page.error(field)
    assert page.value(field) == typed
    assert page.value("user") == ("kept" if field != "user" else typed)


async def test_changing_a_destination_keeps_what_is_not_typed_anew(client):
    made = await client.call("POST", "/api/destinations", json=GOOD | {"port": 22, "bandwidth_limit": 2048})
    form = read((await client.request("GET", f"/destinations/{made['id']}/edit")).text)

    answer = await client.request(
        "POST",
        f"/destinations/{made['id']}/edit",
        data=GOOD | {"name": "Cellar", "bandwidth_limit": form.value("bandwidth_limit")},
    )

    changed = await client.call("GET", f"/api/destinations/{made['id']}")
    assert answer.status_code == 303
    assert (changed["name"], changed["bandwidth_limit"]) == ("Cellar", 2048)


async def test_the_servers_key_is_shown_and_accepted_once(client, tmp_path):
    with sshd(tmp_path / "sshd") as server:
        fields = server.destination().model_dump(mode="json")
        made = await client.call("POST", "/api/destinations", json=fields)
        address = f"/destinations/{made['id']}"

        first = read((await client.request("POST", f"{address}/test")).text)
        fingerprint = first.one("input", name="fingerprint").attributes["value"]
        wrong = await client.request("POST", f"{address}/host-key", data={"fingerprint": "SHA256:else"})
        accepted = await client.request("POST", f"{address}/host-key", data={"fingerprint": fingerprint})
        shown = await client.request("GET", address)

    assert fingerprint.startswith("SHA256:")
    assert wrong.status_code == 409
    assert accepted.status_code == 303
    assert fingerprint in shown.text


async def test_a_server_that_is_not_there_gets_a_sentence(client):
    made = await client.call("POST", "/api/destinations", json=GOOD | {"host": "127.0.0.1", "port": 9})

    answer = await client.request("POST", f"/destinations/{made['id']}/test")

    assert answer.status_code == 200
    assert "127.0.0.1" in read(answer.text).one("p", role="alert").text


async def test_deleting_says_which_streams_used_it(client):
    made = await client.call("POST", "/api/destinations", json=GOOD | {"port": 22})
    fields = {"name": "Harbour FM", "url": "http://radio.example/", "destination_ids": [made["id"]]}
    await client.call("POST", "/api/streams", json=fields)

    asked = await client.request("GET", f"/destinations/{made['id']}/delete")
    answer = await client.request("POST", f"/destinations/{made['id']}/delete")

    assert "Harbour FM" in asked.text
    assert answer.status_code == 303
    assert (await client.call("GET", "/api/destinations"))["items"] == []


async def test_a_key_is_made_and_only_its_public_half_is_ever_shown(client):
    answer = await client.request("POST", "/destinations/keys", data={"key_name": "rolltape"})
    page = await client.request("GET", "/destinations/keys")
    told = await client.call("GET", "/api/keys")

    file = client.bench.folder / "keys" / "rolltape"
    assert answer.status_code == 303
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "ssh-ed25519 AAAA" in page.text
    assert "PRIVATE KEY" not in page.text
    assert [key["name"] for key in told["items"]] == ["rolltape"]
    assert "PRIVATE" not in str(told)


@pytest.mark.parametrize("name", ["", "../key", "a/b", ".hidden", "x.pub", "x" * 65, "a b", "-i", "ключ\x00"])
async def test_a_key_with_a_name_that_is_no_file_name_is_refused(client, name):
    answer = await client.request("POST", "/destinations/keys", data={"key_name": name})

    assert answer.status_code == 422
    assert read(answer.text).error("key_name")
    assert (await client.call("GET", "/api/keys"))["items"] == []


async def test_a_key_never_replaces_another(client):
    await client.call("POST", "/api/keys", json={"name": "rolltape"})
    before = (client.bench.folder / "keys" / "rolltape").read_bytes()

    answer = await client.request("POST", "/destinations/keys", data={"key_name": "rolltape"})

    assert answer.status_code == 422
    assert (client.bench.folder / "keys" / "rolltape").read_bytes() == before


async def test_a_made_key_lets_rolltape_in(client, tmp_path):
    made = await client.call("POST", "/api/keys", json={"name": "rolltape"})
    with sshd(tmp_path / "sshd") as server:
        server.authorize(made["public"])
        fields = server.destination().model_dump(mode="json") | {"key_file": "rolltape"}
        destination = await client.call("POST", "/api/destinations", json=fields)
        address = f"/api/destinations/{destination['id']}"
        shown = await client.call("POST", f"{address}/test")
        await client.call("POST", f"{address}/host-key", json={"fingerprint": shown["host_key"]["fingerprint"]})

        trial = await client.call("POST", f"{address}/test")

    assert trial["ok"], trial
