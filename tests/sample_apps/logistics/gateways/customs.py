"""The customs office: `requests`."""

import requests

PATIENCE_S = 4


class Customs:
    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False

    def declaration(self, code: str) -> int:
        answer = self.session.get(f"{self.address}/customs/{code}")  # finding: missing-timeout
        answer.raise_for_status()
        return int(answer.json()["value"])

    def duty(self, code: str) -> int:
        office = f"{self.address}/customs/{code}/duty"
        answer = self.session.get(
            office, timeout=PATIENCE_S
        )  # finding: blocking-call; touched: held-connection
        answer.raise_for_status()
        return int(answer.json()["value"])

    def weigh(self, code: str) -> int:
        scale = f"{self.address}/scales/{code}"
        answer = self.session.get(scale, timeout=PATIENCE_S)  # finding: repeated-remote-call
        return int(answer.json()["value"])
