"""The example of the page on plugins, installed as a package of its own: in a catalog, and in the running program."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tests.client import Client
from tests.origin import Origin
from tests.running_program import Program

from headgate.config.validation import InvalidConfiguration
from headgate.plugins.catalog import ENTRY_POINT_GROUP, Catalog

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "event_filter"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Make a directory as an installer would, of what the example's pyproject.toml says."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    directory = tmp_path / "site"
    information = directory / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"][ENTRY_POINT_GROUP].items())
    (information / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{points}")
    (directory / "event_filter.py").write_text((EXAMPLE / "event_filter.py").read_text())
    return directory


def test_a_catalog_finds_it_and_checks_its_configuration(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(site))
    catalog = Catalog()
    assert catalog.problems == []
    assert "event-filter" in catalog
    chain = catalog.compile({"event-filter": {"drop": ["ping"]}})
    assert [len(chain.on_route), len(chain.on_response), len(chain.on_event), len(chain.on_end)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({}, 'property "drop" is required'),
        ({"drop": []}, 'property "drop" validation failed: expect array to have at least 1 items'),
        ({"drop": ["message"]}, "events of type message are what most clients listen to"),
        ({"drop": ["a"], "keep": 1}, "additional properties forbidden, found keep"),
    ],
)
def test_a_wrong_configuration_is_refused(
    site: Path, monkeypatch: pytest.MonkeyPatch, conf: dict[str, object], text: str
) -> None:
    monkeypatch.syspath_prepend(str(site))
    with pytest.raises(InvalidConfiguration) as caught:
        Catalog().check("event-filter", conf)
    assert caught.value.text == f"failed to check the configuration of plugin event-filter err: {text}"


def test_it_runs_in_the_program(site: Path, tmp_path: Path) -> None:
    with Origin() as origin, Program(tmp_path, environ={"PYTHONPATH": str(site)}) as program:
        kept = b"data: one\n\n", b"event: tick\ndata: two\n\n"
        origin.events("/events", steps=[kept[0] + b"event: ping\ndata: x\n\n" + kept[1]])
        program.route("1", "/events", origin.address, plugins={"event-filter": {"drop": ["ping"], "get_only": True}})
        with Client(program.port) as client:
            client.get("/events")
            assert client.read_head().get(b"x-events-dropped") == b"ping"
            assert (client.read_event().data, client.read_event().data) == kept
        record = program.wait_record(lambda record: record["event"] == "events_dropped")
        assert (record["route"], record["dropped"]) == ("1", 1)
        with Client(program.port) as client:
            client.send(b"POST /events HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            assert client.read_head().status == 405
