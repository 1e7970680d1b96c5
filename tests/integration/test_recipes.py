"""docs/RECIPES.md: every recipe in one daemon, its addresses led to this machine, each answered by something of its
kind."""

import base64
import contextlib
import json
import re
import urllib.request

import pytest
from feed import PROJECT, SUBSCRIPTION
from harness import REPO, wait_until
from services import mosquitto, ports
from services.httpd import HttpServer, Response
from services.mosquitto import Mosquitto

if mosquitto.obstacle():
    pytest.skip(mosquitto.obstacle(), allow_module_level=True)

PAGE = (REPO / "docs" / "RECIPES.md").read_text()
BLOCKS = [
    block for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S) if block.startswith("    - name:")
]  # the others are of `subscribe`
NAMES = [re.search(r"- name: (\S+)", block)[1] for block in BLOCKS]

# What the remotes answer, by the beginning of the path.
ANSWERS = {
    "/1/devices": [
        {
            "id": "d1",
            "name": "Living room",
            "newest_events": {"te": {"val": 23.1, "created_at": "2023-11-14T22:13:20Z"}},
        }
    ],
    "/v1.1/devices/B0E9FE000001/status": {
        "statusCode": 100,
        "message": "success",
        "body": {
            "deviceId": "B0E9FE000001",
            "deviceType": "MeterPlus",
            "temperature": 21.5,
            "humidity": 40,
            "battery": 100,
        },
    },
    "/oauth2/token": {"access_token": "a1", "refresh_token": "r1", "expires_in": 10800},
    "/token": {"access_token": "a2", "expires_in": 3600},
    "/api/getstationsdata": {
        "status": "ok",
        "body": {
            "devices": [
                {
                    "_id": "70:ee:50:00:00:01",
                    "module_name": "Indoor",
                    "dashboard_data": {"time_utc": 1700000000, "Temperature": 21.1, "CO2": 500, "Humidity": 41},
                    "modules": [
                        {
                            "_id": "02:00:00:00:00:01",
                            "module_name": "Outdoor",
                            "dashboard_data": {"time_utc": 1700000001, "Temperature": 7.4},
                        }
                    ],
                }
            ]
        },
    },
    "/data/2.5/weather": {
        "id": 1850144,
        "name": "Tokyo",
        "dt": 1700000000,
        "main": {"temp": 12.3, "humidity": 55, "pressure": 1013},
    },
    "/v1/forecast": {
        "latitude": 35.7,
        "longitude": 139.6875,
        "utc_offset_seconds": 0,
        "current_units": {"time": "unixtime", "temperature_2m": "°C"},
        "current": {
            "time": 1700000000,
            "interval": 900,
            "temperature_2m": 9.8,
            "relative_humidity_2m": 61,
            "surface_pressure": 1011.2,
        },
    },
    "/api/states": [
        {
            "entity_id": "sensor.study",
            "state": "21.5",
            "last_updated": "2023-11-14T22:13:20+00:00",
            "attributes": {"device_class": "temperature", "unit_of_measurement": "°C", "friendly_name": "Study"},
        },
        {
            "entity_id": "sensor.cellar",
            "state": "unavailable",
            "last_updated": "2023-11-14T22:13:20+00:00",
            "attributes": {"device_class": "temperature"},
        },
        {"entity_id": "light.study", "state": "on", "last_updated": "2023-11-14T22:13:20+00:00", "attributes": {}},
    ],
    "/v4/users/me/dataTypes": {
        "dataPoints": [
            {
                "dataSource": {"platform": "FITBIT"},
                "heartRate": {
                    "sampleTime": {"physicalTime": "2023-11-14T22:13:20Z", "utcOffset": "32400s"},
                    "beatsPerMinute": "61",
                },
            }
        ]
    },
}

MESSAGES = {  # of the broker
    "zigbee2mqtt/kitchen": {"temperature": 21.5, "battery": 90, "last_seen": "2023-11-14T22:13:20+00:00"},
    "tele/plug/SENSOR": {"Time": "2023-11-14T22:13:20", "DS18B20": {"Temperature": 20.6}},
    "co2/sensor/ppm/state": 612,
    "home/living/co2": 812,
    "shellies/shellyht-1/sensor/temperature": 19.5,
    "shellyplusht-1/events/rpc": {
        "src": "shellyplusht-1",
        "method": "NotifyFullStatus",
        "params": {
            "ts": 1700000000.62,
            "ble": {},
            "humidity:0": {"id": 0, "rh": 58.9},
            "temperature:0": {"id": 0, "tC": 19.8, "tF": 67.6},
        },
    },
    "application/7/device/70b3d5e75e000001/event/up": {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2023-11-14T22:13:20.123456+00:00",
        "deviceInfo": {"deviceName": "shed", "devEui": "70b3d5e75e000001", "tags": {}},
        "fCnt": 1,
        "data": "AQ==",
        "object": {"temperature": 4.2},
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 8.2}],
    },
    "rtl_433/Nexus-TH/23": {
        "time": "2023-11-14 22:13:20",
        "model": "Nexus-TH",
        "id": 23,
        "channel": 1,
        "temperature_C": 21.3,
        "humidity": 40,
    },
    "shellyplugsg3-1/events/rpc": {
        "src": "shellyplugsg3-1",
        "method": "NotifyStatus",
        "params": {"ts": 1700000001.5, "switch:0": {"id": 0, "apower": 4.2}},
    },
}

PUSHES = [
    ("/house", {"id": "sensor.x", "value": 5}),
    ("/readings", {"id": "shed", "te": 21.5}),
    (
        "/ttn",
        {
            "end_device_ids": {"device_id": "dev1", "dev_eui": "0004A30B001C0530"},
            "received_at": "2023-11-14T22:13:20.123456789Z",
            "join_accept": {"session_key_id": "AXBSH1Pk6Z0G166"},
        },
    ),
    (
        "/ttn",
        {
            "end_device_ids": {"device_id": "dev1", "dev_eui": "0004A30B001C0530"},
            "received_at": "2023-11-14T22:13:20.123456789Z",
            "uplink_message": {"f_port": 1, "decoded_payload": {"temperature": 21.3}, "rx_metadata": [{"rssi": -97}]},
        },
    ),
    ("/owntracks", {"_type": "location", "tid": "ab", "lat": 35.7, "lon": 139.7, "tst": 1700000000}),
]

# As a GW1100 writes it: colons are not encoded.
FORM = (
    "PASSKEY=4D21F83DE0A1B2C3D4E5F60718293A4B&stationtype=GW1100A_V2.3.1&runtime=100570&dateutc=2023-11-14+22:13:20"
    "&tempinf=70.9&humidityin=45&baromrelin=29.958&baromabsin=29.816&tempf=64.40&humidity=87&winddir=234"
    "&windspeedmph=0.00&rainratein=0.000&freq=868M&model=GW1100A"
)

EXPECTED = {
    "home": {"id": "d1", "name": "Living room"},
    "switchbot": {"id": "B0E9FE000001", "name": "study", "temperature": 21.5},
    "netatmo": {"name": "Indoor", "co2": 500, "measured_at": "2023-11-14T22:13:20.000Z"},
    "weather": {"id": "1850144", "name": "Tokyo", "te": 12.3, "measured_at": "2023-11-14T22:13:20.000Z"},
    "outside": {
        "id": "outside",
        "name": "Outside",
        "te": 9.8,
        "hu": 61,
        "pressure": 1011.2,
        "measured_at": "2023-11-14T22:13:20.000Z",
    },
    "house": {"id": "sensor.study", "name": "Study", "value": 21.5, "unit": "°C"},
    "rest": {"id": "sensor.x", "value": 5},
    "zigbee": {
        "id": "kitchen",
        "temperature": 21.5,
        "request_at": "2023-11-14T22:13:20.000Z",
        "measured_at": "2023-11-14T22:13:20.000Z",
    },
    "tasmota": {"id": "plug", "DS18B20": {"Temperature": 20.6}},
    "esphome": {"id": "co2", "ppm": 612},
    "shellies": {"id": "shellyht-1", "temperature": 19.5},
    "shelly": {"id": "shellyplusht-1", "te": 19.8, "hu": 58.9, "measured_at": "2023-11-14T22:13:20.620Z"},
    "own": {"id": "living", "co2": 812},
    "lorawan": {
        "id": "70b3d5e75e000001",
        "name": "shed",
        "decoded": {"temperature": 4.2},
        "rssi": -97,
        "request_at": "2023-11-14T22:13:20.123Z",
    },
    "ttn": {
        "id": "0004A30B001C0530",
        "name": "dev1",
        "decoded": {"temperature": 21.3},
        "request_at": "2023-11-14T22:13:20.123Z",
    },
    "radio": {"id": "Nexus-TH/23", "temperature_C": 21.3, "humidity": 40},
    "co2": {"name": "study", "co2": 612},
    "exporter": {"id": "a", "co2": 612},
    "phones": {"id": "ab", "lat": 35.7, "request_at": "2023-11-14T22:13:20.000Z"},
    "script": {"id": "shed", "te": 21.5},
    "station": {"id": "garden", "tempf": 64.4, "humidity": 87, "baromrelin": 29.958},
    "underground": {"id": "IHOME1", "tempf": 64.4},
    "calls": {"id": "bedroom", "te": 21.5},
    "health": {"id": "health", "bpm": 61, "measured_at": "2023-11-14T22:13:20.000Z"},
}


@contextlib.contextmanager
def stopping(server):
    yield server
    server.stop()


class Published:
    """What has come to the topic so far."""

    def __init__(self, store):
        self._store, self._readings = store, []

    def of(self, source):
        self._readings += [
            json.loads(base64.b64decode(received["message"]["data"]))
            for received in self._store.pull(SUBSCRIPTION, 1000, 0)
        ]
        return [reading for reading in self._readings if reading["source"] == source]


# Google answers 400, INVALID_DATA_POINT_FILTER, to what is not one of these for its kind of data.
FILTER = re.compile(
    r'heart_rate\.sample_time\.physical_time >= "[-\d]+T[\d:.]+Z" AND heart_rate\.sample_time\.physical_time < "[-\d]+T[\d:.]+Z"'
)


def answer(request):
    if request.path.startswith("/v4/") and not FILTER.fullmatch(request.query.get("filter", "")):
        return Response.json({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400)
    path = next((path for path in sorted(ANSWERS, key=len, reverse=True) if request.path.startswith(path)), None)
    return Response.json(ANSWERS[path]) if path else Response(404, "{}")


def localised(text, http, broker, push, program):
    """The recipes with their addresses led here."""
    text = re.sub(r"https://[a-z0-9.-]+(?=/|$)", http, text, flags=re.M)
    text = (
        text.replace("http://localhost:8123", http)
        .replace("mqtt://localhost", f"mqtt://127.0.0.1:{broker}")
        .replace("127.0.0.1:8427", f"127.0.0.1:{push}")
        .replace("0.0.0.0:8428", f"127.0.0.1:{push}")
    )
    return re.sub(r"/usr/local/bin/\w+", str(program), text)


def test_every_recipe_gives_readings(make_feed, wire_mongo, tmp_path):
    assert set(NAMES) == set(EXPECTED)
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho \'{"id": "a", "co2": 612}\'\n')
    program.chmod(0o755)
    secrets = {name: f"secret of {name}".replace(" ", "-") for name in re.findall(r"\w+_file: ([\w.-]+)", PAGE)}
    feed = make_feed(wire_mongo, secrets=secrets)
    push = ports.free_port()
    with (
        stopping(HttpServer(answer).start()) as http,
        contextlib.closing(Mosquitto(tmp_path / "mosquitto").start()) as broker,
    ):
        sources = localised("".join(BLOCKS), http.url, broker.port, push, program)
        feed.daemon.write_config(
            f"state_dir: {feed.daemon.state}\npubsub:\n  project: {PROJECT}\npublish:\n  topic: sensor-data\n"
            f"  topic_has_other_subscribers: true\n  sources:\n{sources}"
        )
        feed.daemon.start()
        for name in ("zigbee", "tasmota", "esphome", "shellies", "shelly", "own", "lorawan", "radio"):
            wait_until(
                lambda: mosquitto.keeps_for(feed.daemon.state, name),
                f"a session of {name} (log: {feed.daemon.log.lines[-20:]})",
            )
        for topic, payload in MESSAGES.items():
            broker.publish(topic, json.dumps(payload))
        for path, body in PUSHES:
            request = urllib.request.Request(
                f"http://127.0.0.1:{push}{path}",
                json.dumps(body).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {secrets['push.token']}"},
            )
            with urllib.request.urlopen(request, timeout=10) as reply:
                assert reply.status == 200
        station = f"http://127.0.0.1:{push}/ecowitt?token={secrets['push.token']}"
        with urllib.request.urlopen(station, FORM.encode(), timeout=10) as reply:  # urllib calls it a form
            assert reply.status == 200

        for path in (
            "/weatherstation/updateweatherstation.php?ID=IHOME1&PASSWORD={}&action=updateraw&dateutc=now&tempf=64.4",
            "/call?token={}&id=bedroom&te=21.5",
        ):
            with urllib.request.urlopen(
                f"http://127.0.0.1:{push}{path.format(secrets['push.token'])}", timeout=10
            ) as reply:
                assert reply.status == 200

        published = Published(feed.store)
        for name in NAMES:
            wait_until(
                lambda: any(EXPECTED[name].items() <= reading.items() for reading in published.of(name)),
                f"the reading of recipe {name}: {published.of(name)} (log: {feed.daemon.log.lines[-20:]})",
            )
        assert {reading["id"] for reading in published.of("house")} == {"sensor.study"}
        assert not any("4D21F83D" in json.dumps(reading) for reading in published.of("station"))
        wait_until(
            lambda: any(reading.get("power_w") == 4.2 for reading in published.of("shelly")), "the reading of a plug"
        )
    assert not any(secret in line for secret in secrets.values() for line in feed.daemon.log.lines)  # P10
