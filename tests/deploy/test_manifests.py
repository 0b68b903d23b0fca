"""The files in deploy/ are in order, and each check finds a fault that is put into them."""

import json
import re
import sys

import pytest
import yaml

import manifests

APP = manifests.read("deploy/kubernetes/edgelatch.yaml")
VALKEY = manifests.read("deploy/kubernetes/valkey.yaml")
COMPOSE = manifests.read("deploy/compose/compose.yaml")
ENVIRONMENT = manifests.read("deploy/edgelatch.env")
UNIT = manifests.read("deploy/systemd/edgelatch.service")
ALERTS = manifests.read("deploy/observability/alerts.yaml")
DASHBOARD = manifests.read("deploy/observability/dashboard.json")
HAPROXY = manifests.read("deploy/sentinel/haproxy.cfg")
SENTINEL = manifests.read("deploy/sentinel/sentinel.env")
SCRAPING = manifests.read("deploy/observability/prometheus.yaml")
MTAIL = manifests.read("deploy/observability/edgelatch.mtail")
VALKEY_DIGEST = re.search("@sha256:[0-9a-f]{64}", VALKEY)[0]

systemd = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the tools are installed on Linux")


def broken(text, before, after):
    assert before in text, before
    return text.replace(before, after, 1)


@pytest.mark.parametrize("text", [APP, VALKEY])
def test_the_kubernetes_manifests_are_what_kubernetes_and_the_operator_read(text):
    assert manifests.of_kubernetes(text) == []


def test_the_kubernetes_manifests_name_each_other():
    assert manifests.of_references(APP, VALKEY) == []


def test_the_environment_file_has_every_variable():
    assert manifests.of_environment(ENVIRONMENT) == []


def test_the_compose_file_is_what_compose_reads():
    assert manifests.of_compose(COMPOSE) == []


def test_every_image_has_a_version_and_a_digest():
    folders = [manifests.ROOT / "deploy", manifests.ROOT / "docs"]
    texts = [file.read_text() for folder in folders for kind in ("yaml", "yml", "md") for file in folder.rglob(f"*.{kind}")]
    assert [fault for text in texts for fault in manifests.of_images(text)] == []
    assert all(any(name in text for text in texts) for name in manifests.WITHOUT_DIGEST)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (VALKEY_DIGEST, "", "valkey:8.1.10 has no digest"),
        (VALKEY_DIGEST, VALKEY_DIGEST[:-1], f"{VALKEY_DIGEST[:-1]} has no digest"),
        (f":8.1.10{VALKEY_DIGEST}", f":8.1{VALKEY_DIGEST}", "has no exact version"),
        (f":8.1.10{VALKEY_DIGEST}", VALKEY_DIGEST, "has no exact version"),
        ("spin:v4.1.0", "spin:latest", "spin:latest has no exact version"),
    ],
)
def test_an_image_without_a_version_or_a_digest_is_found(before, after, said):
    faults = manifests.of_images(broken(COMPOSE, before, after))
    assert len(faults) == 1 and said in faults[0], faults


@systemd
def test_the_unit_is_what_systemd_reads_and_hardened():
    assert manifests.of_unit(UNIT) == []


@pytest.mark.parametrize(
    ("text", "before", "after", "said"),
    [
        (APP, "enableAutoscaling", "autoscaling", "'autoscaling' was unexpected"),
        (APP, "enableAutoscaling: true", "enableAutoscaling: true\n  replicas: 2", "should not be valid"),
        (APP, "executor: containerd-shim-spin", "", "'executor' is a required property"),
        (APP, "loadFromSecret", "loadFromSecrets", "'loadFromSecrets' was unexpected"),
        (APP, 'value: "6379"', "value: 6379", "6379 is not of type 'string'"),
        (APP, "- name: max_hold", "- name: max_hole", "a variable max_hole, which spin.toml does not have"),
        (APP, "- name: max_hold", "- name: max_hole", "no variable max_hold, which spin.toml has"),
        (APP, "- name: max_hold", "- name: lock_expire", "lock_expire twice"),
        (APP, "autoscaling/v2", "autoscaling/v3", "HorizontalPodAutoscaler"),
        (APP, "minReplicas: 2", "minReplicas: two", "HorizontalPodAutoscaler"),
        (APP, "podSelector: {}", "podSelectors: {}", "NetworkPolicy"),
        (VALKEY, "serviceName:", "service:", "StatefulSet"),
        (VALKEY, "port: 6379", "port: redis", "Service"),
    ],
)
def test_a_broken_kubernetes_manifest_is_refused(text, before, after, said):
    faults = manifests.of_kubernetes(broken(text, before, after))
    assert any(said in fault for fault in faults), faults


def test_a_secret_may_not_stand_in_a_manifest():
    secret = "      valueFrom:\n        secretKeyRef:\n          name: edgelatch\n          key: api_token\n"
    faults = manifests.of_kubernetes(broken(APP, secret, "      value: hunter2\n"))
    assert faults == ["SpinApp: api_token is a secret, and stands there as a value"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("kind: Deployment\n    name: edgelatch", "kind: Deployment\n    name: other"),
        ("value: edgelatch-valkey", "value: elsewhere"),
        ("core.spinkube.dev/app-name: edgelatch", "core.spinkube.dev/app-name: other"),
        ("app.kubernetes.io/name: edgelatch-valkey", "app.kubernetes.io/name: redis"),
    ],
)
def test_a_reference_to_nothing_is_found(before, after):
    assert len(manifests.of_references(broken(APP, before, after), VALKEY)) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SPIN_VARIABLE_REDIS_DB=0\n", ""),
        ("SPIN_VARIABLE_REDIS_DB=0\n", "SPIN_VARIABLE_REDIS_DB=0\nSPIN_VARIABLE_COLOUR=red\n"),
        ("SPIN_VARIABLE_REDIS_DB=0\n", "SPIN_VARIABLE_REDIS_DB=0\nREDIS_DB=0\n"),
    ],
)
def test_an_environment_file_with_too_little_or_too_much_is_refused(before, after):
    assert manifests.of_environment(broken(ENVIRONMENT, before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("read_only: true", "read_only: maybe"),
        ("image:", "imagine:"),
        ("      - front\n", "      - back\n"),
        ("../edgelatch.env", "../other.env"),
        ("SPIN_VARIABLE_REDIS_HOST", "SPIN_VARIABLE_REDIS_HOTS"),
    ],
)
def test_a_broken_compose_file_is_refused(before, after):
    assert len(manifests.of_compose(broken(COMPOSE, before, after))) == 1


@pytest.mark.parametrize("text", [COMPOSE, UNIT])
def test_every_secret_is_read_from_a_file(text):
    assert manifests.of_secrets(text) == []
    without = re.sub("admin_token=@.*", "", text)
    assert manifests.of_secrets(without) == ["no file for admin_token"]


@systemd
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ProtectClock=", "ProtectClok="),
        ("UMask=0077", "UMask=9999"),
        ("ExecStart=", "ExecStarts="),
        ("DynamicUser=yes\n", "User=root\n"),
        ("${CREDENTIALS_DIRECTORY}", "%d"),
    ],
)
def test_a_broken_unit_is_refused(before, after):
    assert manifests.of_unit(broken(UNIT, before, after))


@linux
def test_the_configuration_is_what_haproxy_reads():
    assert manifests.of_haproxy(HAPROXY, SENTINEL) == []


@linux
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("tcp-check connect", "tcp-check connects", "tcp-check"),
        ("nbsrv(sentinels-name-node-2)", "nbsrv(sentinels-name-node-4)", "sentinels-name-node-4"),
        ("${SENTINEL_2}", "${SENTINEL_4}", "no variable SENTINEL_4"),
        ("${LISTEN}", "127.0.0.1:6379", "a variable LISTEN"),
    ],
)
def test_a_broken_configuration_of_haproxy_is_refused(before, after, said):
    assert any(said in fault for fault in manifests.of_haproxy(broken(HAPROXY, before, after), SENTINEL))


@linux
def test_the_alerts_fire_when_they_have_to():
    assert manifests.of_alerts(ALERTS) == []
    assert manifests.of_scraping("deploy/observability/prometheus.yaml") == []


@linux
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("> 0.01", "> 0.1"),
        ("for: 10m", "for: 10 minutes"),
        ("> 2.5", "> 25"),
        ("> 0.001", "> 0.1"),
        ("[5m]", "[5]"),
        ('probe_success{job="edgelatch-readyz"}', 'sum(probe_success{job="edgelatch-readyz"})'),
        (' or absent(up{job="edgelatch-readyz"})', ""),
        ('or increase(edgelatch_answers_total{job="edgelatch"}[5m]) == 0', ""),
    ],
)
def test_broken_alerts_are_refused(before, after):
    assert manifests.of_alerts(broken(ALERTS, before, after))


def test_the_alerts_are_on_jobs_that_prometheus_scrapes():
    assert manifests.of_jobs(ALERTS, SCRAPING) == []
    renamed = broken(SCRAPING, "job_name: edgelatch-readyz", "job_name: readyz")
    assert manifests.of_jobs(ALERTS, renamed) == ["no job edgelatch-readyz"]


@linux
def test_mtail_makes_series_of_the_documented_line():
    series = manifests.series_of(MTAIL, manifests.example_line())
    labels = 'method="POST",outcome="lock-held",route="/api/v1/users/perform-action",status="423"'
    assert series[f"edgelatch_requests_total{{{labels}}}"] == 1
    assert series['edgelatch_lock_wait_seconds_sum{route="/api/v1/users/perform-action"}'] == 0.2512
    assert series["edgelatch_answers_total"] == 1
    assert series["edgelatch_lock_lost_total"] == 0


@linux
@pytest.mark.parametrize(
    ("before", "after", "series"),
    [
        ('"lock-held"', '"lock-lost"', "edgelatch_lock_lost_total"),
        ('"lock-held"', '"internal"', "edgelatch_internal_total"),
        ('"lock-held"', '"misconfigured"', "edgelatch_misconfigured_total"),
        ("423", "503", "edgelatch_unavailable_total"),
    ],
)
def test_mtail_counts_what_alerts_are_for(before, after, series):
    line = broken(manifests.example_line(), before, after)
    assert manifests.series_of(MTAIL, line)[series] == 1


@linux
def test_mtail_counts_requests_that_have_no_line():
    line = manifests.example_line()
    assert manifests.series_of(MTAIL, line)["edgelatch_left_out_total"] == 0
    floods = [broken(line, "}\n", f',"left_out":{left_out}}}\n') for left_out in (997, 3)]
    series = manifests.series_of(MTAIL, "".join(floods))
    assert series["edgelatch_left_out_total"] == 1000
    assert series["edgelatch_answers_total"] == 2
    forged = json.dumps({**json.loads(line), "cause": ',"left_out":7}'}, separators=(",", ":")) + "\n"
    assert manifests.series_of(MTAIL, forged)["edgelatch_left_out_total"] == 0


@linux
@pytest.mark.parametrize(
    ("method", "route", "outcome", "calls", "lost"),
    [
        ("PUT", "/api/v1/users/{user_id}/lock", "not-lock-owner", 1, 1),
        ("DELETE", "/api/v1/users/{user_id}/locks/{name}", "not-lock-owner", 1, 1),
        ("PUT", "/api/v1/users/{user_id}/lock", "success", 1, 0),
        ("POST", "/api/v1/users/{user_id}/lock", "lock-held", 0, 0),
        # A Compute-Token that is good no longer.
        ("PUT", "/api/v1/users/{user_id}/cache/{key}", "not-lock-owner", 0, 0),
    ],
)
def test_mtail_counts_leases_that_were_lost(method, route, outcome, calls, lost):
    line = broken(manifests.example_line(), '"POST"', f'"{method}"')
    line = broken(line, "/api/v1/users/perform-action", route)
    series = manifests.series_of(MTAIL, broken(line, "lock-held", outcome))
    assert series["edgelatch_lease_calls_total"] == calls
    assert series["edgelatch_leases_lost_total"] == lost


@linux
def test_alerts_and_dashboard_query_series_that_mtail_makes():
    series = manifests.series_of(MTAIL, manifests.example_line())
    queries = [*manifests.expressions(yaml.safe_load(ALERTS)), *manifests.expressions(json.loads(DASHBOARD))]
    assert manifests.of_queries(queries, series) == []
    assert manifests.of_queries(["rate(edgelatch_other_total[5m])"], series) == ["no series edgelatch_other_total"]
