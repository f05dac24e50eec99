"""Lets hypothesis take its time: on a busy machine a slow example says nothing about the code."""


def pytest_configure() -> None:
    # Only now: imported earlier, hypothesis would miss pytest's rewriting of assert.
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")
