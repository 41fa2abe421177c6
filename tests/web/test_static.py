"""Style sheets, scripts and what is not ours among them."""

import gzip
import hashlib
import re

from rolltape.web.rendering import STATIC, fingerprint

VENDOR = STATIC / "vendor"
LARGEST = 100_000  # bytes, packed, of a page with everything that it loads


def sums() -> dict[str, str]:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def test_what_is_not_ours_is_as_it_was_released():
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.glob("*.*s")}

    assert found == sums()


def test_what_is_not_ours_has_its_licence_and_is_named():
    told = (VENDOR / "README.md").read_text()

    for name in sums():
        assert f"`{name}`" in told
        (licence,) = re.findall(rf"`{re.escape(name)}`.*`([a-z]+\.LICENSE)`", told)
        assert (VENDOR / licence).stat().st_size > 300


async def test_static_files_may_be_kept_for_ever_and_need_no_login(client):
    answer = await client.request("GET", f"/static/{fingerprint()}/app.css", token=False)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"].startswith("text/css")


async def test_an_address_outside_of_the_static_files_is_not_found(client):
    for path in ("../rendering.py", "..%2frendering.py", "vendor/../../api/__init__.py", "no.css"):
        answer = await client.request("GET", f"/static/{fingerprint()}/{path}", token=False)

        assert answer.status_code in (401, 303, 404), path
        assert "import" not in answer.text


async def test_a_page_with_all_that_it_loads_is_small(client):
    page = await client.request("GET", "/streams/new")
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+\.(?:css|js|svg))"', page.text)
    contents = [(await client.request("GET", path)).content for path in loaded]

    assert len(loaded) >= 6
    assert sum(len(gzip.compress(content)) for content in [page.content, *contents]) < LARGEST


async def test_pages_and_static_files_are_packed_and_audio_is_not(client):
    page = await client.request("GET", "/streams/new", headers={"Accept-Encoding": "gzip"})
    api = await client.request("GET", "/api/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert page.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in api.headers


def test_nothing_on_a_page_breaks_the_content_security_policy():
    templates = list((STATIC.parent / "templates").rglob("*.html"))

    assert len(templates) > 10
    for file in templates:
        text = re.sub(r"{[{%#].*?[}%#]}", "", file.read_text(), flags=re.DOTALL)
        for forbidden in (
            r"\sstyle=",
            r"\son[a-z]+=",
            r"<script(?![^>]*\ssrc=)",
            r"<style",
            r"\|\s*safe",
            r"javascript:",
        ):
            assert not re.search(forbidden, text), f"{file.name}: {forbidden}"


def test_no_script_writes_html():
    for file in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", file.read_text()), (
            file.name
        )


def test_no_file_of_ours_names_another_host():
    ours = [*STATIC.glob("*"), *(STATIC.parent / "templates").rglob("*.html")]

    for file in ours:
        if file.is_file():
            found = set(re.findall(r"https?://[\w][^\s\"'<>)]*", file.read_text())) - {"http://www.w3.org/2000/svg"}
            assert not found, f"{file.name}: {found}"


def test_scripts_of_one_page_do_not_name_two_things_alike():
    named: dict[str, str] = {}
    for file in STATIC.glob("*.js"):
        if file.name == "live.js":  # a worker of its own
            continue
        for name in re.findall(r"^(?:const|let|(?:async )?function\*?|class) (\w+)", file.read_text(), re.MULTILINE):
            assert name not in named, f"{name} in {file.name} and {named[name]}"
            named[name] = file.name

    assert len(named) > 20
