"""/metrics as Prometheus reads it, and what docs/monitoring.md offers over it."""

import json
import re
import shutil
import subprocess

import pytest
import requests
from harness import REPO, wait_until
from services.ports import free_port
from test_page import HU, TE, archive, now_ms, reading  # noqa: F401

MONITORING = REPO / "docs" / "monitoring"


def program(name):
    found = shutil.which(name)
    if not found:
        pytest.skip(f"not installed: {name}")
    return found


def metrics(page):
    reply = page.session.get(page.url + "/metrics", timeout=20)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return reply.text


def stored(page, text):
    """The page has drawn it: two readings, one of them old, under names that need escapes."""
    page.daemon.start()
    page.daemon.queue.publish([reading('x"\\y', now_ms() - 2000, 21.25, 40), reading("old", now_ms() - 3600_000, 5)])
    return wait_until(
        lambda: (found := metrics(page)).count("sensorqd_reading_timestamp_seconds{") >= 3 and text in found and found,
        "latest values",
    )


def test_prometheus_reads_it(archive, tmp_path):  # noqa: F811
    text = stored(archive, 'device="old"')
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert len(samples) == sum(not line.startswith("#") for line in text.splitlines()), "a sample stands twice"
    fresh = '{source="home",device="x\\"\\\\y",field="%s"}'
    assert samples["sensorqd_reading_value" + fresh % TE] == "21.25"
    assert samples["sensorqd_reading_value" + fresh % HU] == "40"
    assert not any(name.startswith("sensorqd_reading_value") and "old" in name for name in samples)
    assert [
        value
        for name, value in samples.items()
        if re.fullmatch(r'sensorqd_sink_stored_total\{subscription="[^"]*archive",sink="[^"]+"\}', name)
    ] == ["2"]
    assert samples["sensorqd_well"] == "1"


def test_prometheus_scrapes_it_and_its_rules_hold(archive, tmp_path):  # noqa: F811
    stored(archive, "sensorqd_sink_ready")
    port = free_port()
    shutil.copy(MONITORING / "rules.yml", tmp_path)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 500ms}\nrule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: sensorqd, scrape_timeout: 1s, static_configs: [{{targets: ['{archive.url[7:]}']}}]}}]\n"
    )
    subprocess.run(
        [program("promtool"), "check", "config", tmp_path / "prometheus.yml"], check=True, capture_output=True
    )
    server = subprocess.Popen(
        [
            program("prometheus"),
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(expression):
        try:
            return requests.get(
                f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=5
            ).json()["data"]["result"]
        except (requests.RequestException, KeyError):
            return []

    try:
        wait_until(lambda: ask("sensorqd_well"), "a scrape")
        dashboard = json.loads((MONITORING / "grafana.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                found = wait_until(
                    lambda: (
                        ask(target["expr"])
                        or "sensorqd_source" in target["expr"]
                        or "outbox" in target["expr"]
                        or "oldest_unsettled" in target["expr"]
                    ),
                    f"{panel['title']}: {target['expr']}",
                )
                assert found

        def rules():
            return requests.get(f"http://127.0.0.1:{port}/api/v1/rules", timeout=20).json()["data"]["groups"][0][
                "rules"
            ]

        assert len(rules()) == 5
        wait_until(
            lambda: all(rule["health"] == "ok" and rule["state"] == "inactive" for rule in rules()),
            f"no rule that fires or cannot be judged: {rules()}",
        )
    finally:
        server.terminate()
        server.wait(60)


def test_rules_fire_over_what_nobody_has_pulled(tmp_path):
    """A subscription that cannot be pulled for days holds nothing; a source that never spoke has no time of a last
    reading."""
    (tmp_path / "tests.yml").write_text(
        """
rule_files: [%s]
evaluation_interval: 10m
tests:
  - interval: 10m
    input_series:
      - {series: 'sensorqd_subscription_failing{subscription="s",sink="MongoDB",instance="i"}', values: '1x900'}
      - {series: 'sensorqd_subscription_failing_since_timestamp_seconds{subscription="s",sink="MongoDB",instance="i"}', values: '60x900'}
      - {series: 'sensorqd_source_readings_total{source="mute",instance="i"}', values: '0x900'}
      - {series: 'sensorqd_start_time_seconds{instance="i"}', values: '60x900'}
    alert_rule_test:
      - {eval_time: 4d, alertname: SensorqdRetentionNear}
      - {eval_time: 6d, alertname: SensorqdRetentionNear, exp_alerts: [{exp_labels: {subscription: s, sink: MongoDB, instance: i, severity: critical},
          exp_annotations: {summary: 's: Pub/Sub will soon drop what is not stored',
          description: 'Bring its sink back, or lengthen messageRetentionDuration of the subscription, before that.'}}]}
      - {eval_time: 6d, alertname: SensorqdSourceSilent, exp_alerts: [{exp_labels: {source: mute, instance: i, severity: warning},
          exp_annotations: {summary: Source mute gives no readings, description: 'Look at: journalctl -u sensorqd SENSORQD_SOURCE=mute'}}]}
"""
        % (MONITORING / "rules.yml")
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_leave_a_sink_that_waits_for_its_first_message(tmp_path):
    """It is not ready, and nothing is wrong. A sensorqd of before, which does not tell it apart, is watched as ever."""
    (tmp_path / "tests.yml").write_text(
        """
rule_files: [%s]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'sensorqd_sink_ready{subscription="s",sink="idle",instance="i"}', values: '0x60'}
      - {series: 'sensorqd_sink_untried{subscription="s",sink="idle",instance="i"}', values: '1x60'}
      - {series: 'sensorqd_sink_ready{subscription="s",sink="down",instance="i"}', values: '0x60'}
      - {series: 'sensorqd_sink_untried{subscription="s",sink="down",instance="i"}', values: '0x60'}
      - {series: 'sensorqd_sink_ready{subscription="s",sink="of 0.2.0",instance="i"}', values: '0x60'}
    alert_rule_test:
      - {eval_time: 20m, alertname: SensorqdSinkDown}
      - {eval_time: 40m, alertname: SensorqdSinkDown, exp_alerts: [{exp_labels: {subscription: s, sink: down, instance: i, severity: warning},
          exp_annotations: {summary: down behind s is down,
          description: 'Nothing is lost: Pub/Sub keeps the readings. Look at: journalctl -u sensorqd -p warning'}},
          {exp_labels: {subscription: s, sink: of 0.2.0, instance: i, severity: warning}, exp_annotations: {summary: of 0.2.0 behind s is down,
          description: 'Nothing is lost: Pub/Sub keeps the readings. Look at: journalctl -u sensorqd -p warning'}}]}
"""
        % (MONITORING / "rules.yml")
    )
    done = subprocess.run(
        [program("promtool"), "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_name_what_there_is(archive):  # noqa: F811
    """Every metric is on the page, and the rules and the dashboard use no other."""
    text = stored(archive, "sensorqd_well")
    source = "".join((REPO / "daemon" / name).read_text() for name in ("report-json.c", "page-metrics.c"))
    names = set(re.findall(r'"(sensorqd_[a-z_]+)"', source))
    assert names >= set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    page = (REPO / "docs" / "monitoring.md").read_text()
    told = set()
    for item in re.findall(r"^- (.*(?:\n  .*)*)", page, re.MULTILINE):
        words = re.findall(r"`(\w+)[^`]*`", item)
        told |= {word if word.startswith("sensorqd_") else word for word in words}
    for name in names:
        parts = name.split("_")
        assert name in told or any("_" + "_".join(parts[i:]) in told for i in range(2, len(parts))), (
            f"{name} is not in docs/monitoring.md"
        )
    used = set(
        re.findall(
            r"sensorqd_[a-z_]+", (MONITORING / "rules.yml").read_text() + (MONITORING / "grafana.json").read_text()
        )
    )
    assert used <= names | {"sensorqd_rules"}, used - names
