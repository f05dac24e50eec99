"""A catalogue is an explicit tuple; it names what its folder holds, no more and no less."""

from tools import ROOT
from unslow.record.catalogue import PROBES


def test_the_catalogue_of_probes_names_exactly_the_files_of_its_folder() -> None:
    folder = ROOT / "src" / "unslow" / "record" / "probes"
    modules = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    packages = [path.parent.name for path in folder.glob("*/__init__.py")]

    assert sorted(modules + packages) == sorted(probe.name for probe in PROBES)
