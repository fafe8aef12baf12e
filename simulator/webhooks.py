"""Alert webhooks: an action group posting alerts in the common schema, with its retries and its silence.

Retries only for 408, 429, 503, 504 and connections that fail, at most five times; then nothing is posted to that
address for 15 minutes (Azure Monitor's action group documentation).
"""

from datetime import datetime

from simulator.deliveries import Courier, Delivery, Retry
from simulator.resources import Json
from simulator.world import World

RETRIED = (408, 429, 503, 504)
RETRY = Retry((5.0, 20.0, 5.0, 40.0, 5.0), lambda status: status not in RETRIED)
SILENCE_SECONDS = 900.0


class AlertWebhooks:
    def __init__(self, world: World, courier: Courier, urls: tuple[str, ...]) -> None:
        self._world = world
        self._courier = courier
        self._urls = [*urls]
        self._silent_until: dict[str, datetime] = {}
        self.deliveries: list[Delivery] = []

    def add(self, url: str) -> None:
        self._urls.append(url)

    def start(self) -> None:
        self._world.alerts.subscribers.append(self._on_alert)

    def _on_alert(self, alert: Json) -> None:
        for url in self._urls:
            delivery = Delivery(url, {"Content-Type": "application/json; charset=utf-8"}, alert)
            self.deliveries.append(delivery)
            if self._world.now < self._silent_until.get(url, self._world.now):
                delivery.state, delivery.reason = "dead", "the address failed within the last 15 minutes"
            else:
                self._courier.spawn(self._post(delivery))

    async def _post(self, delivery: Delivery) -> None:
        await self._courier.carry(delivery, RETRY)
        if delivery.state == "dead" and len(delivery.attempts) > 1:
            self._silent_until[delivery.url] = self._world.now + self._world.state.pace.scaled(SILENCE_SECONDS)
