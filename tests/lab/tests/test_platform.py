"""The whole platform on three machines: install, repeat, upgrade one, break one, remove one. Its charts are the lab's doubles; the API is real."""

from __future__ import annotations

import json
import re

import ceph
import pytest
from driver import INVENTORY, Lab, PlaybookRun
from yaml import safe_load

pytestmark = pytest.mark.lab

# For what concerns one component: it, one that needs it, and one that has nothing to do with it.
A_FEW = "--limit cert_manager,istio,grafana"
COMPONENTS = tuple(safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]["components"]["hosts"])


@pytest.fixture(scope="module")
def installed(lab: Lab) -> PlaybookRun:
    """The first run, on new machines."""
    lab.again()
    return lab.playbook("site.yml", components=None)


def platform(lab: Lab, options: str = "", **variables: object) -> PlaybookRun:
    return lab.playbook("playbooks/platform.yml", options=options, variables=variables, components=None)


def changed(run: PlaybookRun) -> dict[str, int]:
    """The hosts that the recap calls changed, with how often."""
    return {host: count for host, count in run.stats.get("changed", {}).items() if count}


def test_the_first_run_installs_and_verifies_every_component(lab: Lab, installed: PlaybookRun) -> None:
    assert installed.returncode == 0, installed.output
    for component in COMPONENTS:
        assert re.search(rf"\b{component} +ready +\d+ s", installed.output), component
    parents = json.loads(lab.kubectl("-n", "kube-system", "get", "configmaps", "-l", "trinode.dev/component", "-o", "json"))["items"]
    assert {item["metadata"]["labels"]["trinode.dev/component"] for item in parents} == set(COMPONENTS)


def test_the_platform_takes_as_long_as_its_slowest_chain(installed: PlaybookRun) -> None:
    summary = " ".join(installed.output.split())
    chain = re.search(r"Longest chain of needs: (.+?)'? PLAY RECAP", summary)
    phases = re.search(r"Took \d+ s: .*?platform (\d+) s", summary)
    assert chain, summary[-3000:]
    assert phases, summary[-3000:]
    own = [int(seconds) for seconds in re.findall(r"(\d+) s", chain[1])]
    assert len(own) >= 3
    assert int(phases[1]) <= sum(own) + 10


def test_the_summary_tells_where_the_interfaces_are(installed: PlaybookRun) -> None:
    for name in ("grafana", "hubble", "kiali", "argocd", "ceph", "prometheus", "alertmanager"):
        assert f"https://{name}.tests.internal" in installed.output


def test_a_second_run_changes_nothing_and_is_fast(lab: Lab, installed: PlaybookRun) -> None:
    again = lab.playbook("site.yml", components=None)
    assert again.returncode == 0, again.output
    assert changed(again) == {}, again.output
    # The goal is 25 s. On two cores, which the lab's machines share, it took 24 to 33 s; since a real Ceph runs on them too, 37 s right after the installation.
    assert again.seconds < 60


def test_check_on_the_finished_platform_predicts_nothing(lab: Lab, installed: PlaybookRun) -> None:
    looked = lab.playbook("site.yml", components=None, options="--check --diff")
    assert looked.returncode == 0, looked.output
    assert changed(looked) == {}, looked.output


def test_an_image_that_cannot_be_pulled_fails_its_component_alone_and_early(lab: Lab, installed: PlaybookRun) -> None:
    lab.command("fault", "image-unpullable", "jetstack/cert-manager-controller")
    try:
        broken = platform(lab, A_FEW, cert_manager_version="v1.21.0")
    finally:
        lab.command("fault", "image-restore", "jetstack/cert-manager-controller")
    assert broken.stats["failures"] == {"cert_manager": 1}, broken.output
    assert re.search(r"(ErrImagePull|ImagePullBackOff): image \S*cert-manager-controller", broken.output)
    assert broken.seconds < 120
    assert set(broken.stats["ok"]) >= {"istio", "grafana"}
    assert platform(lab, A_FEW).returncode == 0, "the way back"


def test_an_upgrade_changes_its_component_only_and_the_diff_shows_what(lab: Lab, installed: PlaybookRun) -> None:
    predicted = platform(lab, "--check --diff", cert_manager_version="v1.21.0")
    assert predicted.returncode == 0, predicted.output
    assert set(changed(predicted)) == {"cert_manager"}
    assert re.search(r"^\+.*cert-manager-controller:v1\.21\.0", predicted.output, re.MULTILINE)
    done = platform(lab, cert_manager_version="v1.21.0")
    assert done.returncode == 0, done.output
    assert set(changed(done)) == {"cert_manager"}
    image = lab.kubectl("-n", "cert-manager", "get", "deployment", "cert-manager", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert image.endswith(":v1.21.0")
    assert set(changed(platform(lab, A_FEW))) == {"cert_manager"}, "the way back"


def test_drift_is_healed(lab: Lab, installed: PlaybookRun) -> None:
    lab.kubectl("-n", "cert-manager", "scale", "deployment", "cert-manager", "--replicas=1")
    lab.kubectl("-n", "cert-manager", "delete", "service", "cert-manager-webhook")
    assert set(changed(platform(lab, f"{A_FEW} --check"))) == {"cert_manager"}
    assert set(changed(platform(lab, A_FEW))) == {"cert_manager"}
    assert changed(platform(lab, A_FEW)) == {}


def test_values_that_break_the_schema_fail_their_component_alone(lab: Lab, installed: PlaybookRun) -> None:
    broken = platform(lab, A_FEW, cert_manager_values={"replicaCount": "2"}, istio_gateway_replicas=2)
    assert broken.returncode != 0
    assert "the values break the chart's schema: replicaCount: got string, want" in broken.output
    assert "blocked by cert_manager" in broken.output
    # What is installed and stays as it is needs nothing that is not there.
    assert set(broken.stats["failures"]) == {"cert_manager", "istio"}
    assert platform(lab, A_FEW).returncode == 0, "nothing was touched"


def test_what_others_need_is_not_removed(lab: Lab, installed: PlaybookRun) -> None:
    refused = platform(lab, "--limit cert_manager", component_state="absent")
    assert refused.returncode != 0
    assert re.search(r"istio", refused.output)
    assert lab.kubectl("-n", "cert-manager", "get", "deployment", "cert-manager", "-o", "name")


def test_a_component_is_removed_cleanly_and_comes_back(lab: Lab, installed: PlaybookRun) -> None:
    removed = platform(lab, "--limit kyverno", component_state="absent")
    assert removed.returncode == 0, removed.output
    assert lab.kubectl("get", "deployments", "--all-namespaces", "-l", "app.kubernetes.io/part-of=kyverno", "-o", "name") == ""
    webhooks = lab.kubectl("get", "validatingwebhookconfigurations,mutatingwebhookconfigurations", "-o", "name")
    assert "kyverno" not in webhooks
    again = platform(lab, "--limit kyverno", component_state="absent")
    assert again.returncode == 0, again.output
    assert changed(again) == {}
    back = platform(lab, "--limit kyverno")
    assert back.returncode == 0, back.output
    assert changed(platform(lab, "--limit kyverno")) == {}


def test_ceph_is_real_and_has_the_disks_of_the_inventory(lab: Lab, installed: PlaybookRun) -> None:
    ceph.needed(lab)
    ceph.wait(lambda: ceph.ask(lab, "health")["status"] == "HEALTH_OK", 120, "HEALTH_OK")
    assert ceph.healthy(lab)
    wanted = {(f"m{machine}", f"{lab.name}-m{machine}-osd{disk}".upper()) for machine in (1, 2, 3) for disk in (1, 2)}
    deployments = json.loads(lab.kubectl("-n", "rook-ceph", "get", "deployments", "-l", "app=rook-ceph-osd", "-o", "json"))["items"]
    disks = {}
    for item in deployments:
        variables = {entry["name"]: entry.get("value") for entry in item["spec"]["template"]["spec"]["containers"][0]["env"]}
        disks[int(item["metadata"]["labels"]["ceph-osd-id"])] = variables["ROOK_BLOCK_PATH"].rpartition("_")[2]
    nodes = {node["id"]: node for node in ceph.ask(lab, "osd", "tree")["nodes"]}
    hosts = [node for node in nodes.values() if node["type"] == "host"]
    assert {(host["name"], disks[osd]) for host in hosts for osd in host["children"]} == wanted
    assert {node["device_class"] for node in nodes.values() if node["type"] == "osd"} == {"ssd"}


def test_ceph_outlives_a_power_cut_without_losing_a_write(lab: Lab, installed: PlaybookRun) -> None:
    ceph.needed(lab)
    with ceph.writing(lab) as report:
        lab.command("fault", "power-cut", "m3")
        ceph.wait(lambda: ceph.ask(lab, "status")["osdmap"]["num_up_osds"] == 4, 120, "Ceph sees that the OSDs of m3 are down")
        lab.command("power", "on", "m3")
        ceph.wait(lambda: ceph.healthy(lab), 300, "all OSDs are back, all placement groups clean")
    assert report["lost"] == []
    assert report["errors"] == []
    assert report["short"] == [], "there were never fewer than two copies"
    assert report["most_down"] == 2
    assert report["writes"] > 50


def test_a_drained_machine_is_out_alone_and_keeps_its_data(lab: Lab, installed: PlaybookRun) -> None:
    """What Rook's double does to budgets and flags, as Rook: the gate relies on it."""
    ceph.needed(lab)

    def budgets() -> dict[str, int]:
        items = json.loads(lab.kubectl("-n", "rook-ceph", "get", "poddisruptionbudgets", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item["spec"]["maxUnavailable"] for item in items if item["metadata"]["name"].startswith("rook-ceph-osd")}

    ceph.wait(lambda: ceph.healthy(lab) and budgets() == {"rook-ceph-osd": 1}, 120, "one OSD at a time")
    with ceph.writing(lab) as report:
        lab.kubectl("cordon", "m2")
        try:
            lab.kubectl("-n", "rook-ceph", "delete", "pods", "-l", "app=rook-ceph-osd,topology-location-host=m2", "--wait=false")
            others = {"rook-ceph-osd-host-m1": 0, "rook-ceph-osd-host-m3": 0}
            ceph.wait(lambda: budgets() == others, 60, "no OSD of another machine may go")
            ceph.wait(lambda: ceph.ask(lab, "osd", "dump")["crush_node_flags"] == {"m2": ["noout"]}, 60, "nothing of m2 is marked out")
        finally:
            lab.kubectl("uncordon", "m2")
        ceph.wait(lambda: ceph.healthy(lab), 240, "the OSDs are back")
        ceph.wait(lambda: budgets() == {"rook-ceph-osd": 1}, 60, "one OSD at a time again")
        ceph.wait(lambda: ceph.ask(lab, "osd", "dump")["crush_node_flags"] == {}, 60, "noout is gone")
    assert report["lost"] == []
    assert report["short"] == []
