import pytest

from unslow.prove.workload.side_effects import why_it_stays_out


@pytest.mark.parametrize(
    ("route", "word"),
    [
        ("/logout", "logout"),
        ("/auth/log-out", "log-out"),
        ("/signOut", "sign-out"),
        ("/users/{user_id}/delete", "delete"),
        ("/cron/nightly", "cron"),
        ("/webhooks/{name}", "webhooks"),
        ("/mails/send", "send"),
        ("/send_report", "send"),
        ("/verify/{token}", "verify"),
        ("/jobs/{job_id}/stop/", "stop"),
        ("/oauth/callback", "callback"),
        ("/newsletter/unsubscribe", "unsubscribe"),
        ("/reports/export-to-mail", "export-to-mail"),
        ("/reports/exportMail", "export-mail"),
    ],
)
def test_a_path_that_says_that_it_does_something_stays_out(route: str, word: str) -> None:
    assert f'its path says "{word}"' in why_it_stays_out(route)


@pytest.mark.parametrize(
    "route",
    [
        "/",
        "/posts/export",
        "/emails",
        "/senders",
        "/sent",
        "/payments/{send}",
        "/subscriptions",
        "/stops",
    ],
)
def test_a_path_that_only_looks_alike_is_taken(route: str) -> None:
    assert "" == why_it_stays_out(route)
