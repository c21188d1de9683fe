#!/bin/bash
# The baseline for site.yml: the same cluster with talosctl and kubectl alone, on a lab that is up (machines in maintenance mode).
# Prints the seconds of each phase. Usage: tests/lab/bare.sh; its talosconfig and kubeconfig are in the directory `bare` of the lab's state until `lab down`.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
facts=$("$here/lab" inventory)
fact() { python3 -c 'import json, sys; value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[int(key) if key.isdigit() else key]
print(value)' "$@" <<<"$facts"; }

PATH=$(fact programs):$PATH
registry=$(fact registry)
mapfile -t addresses < <(python3 -c 'import json, sys; [print(m["address"]) for m in json.load(sys.stdin)["machines"]]' <<<"$facts")
work=$(fact state)/bare
mkdir -m 700 "$work"
export TALOSCONFIG=$work/talosconfig KUBECONFIG=$work/kubeconfig

begun=$(date +%s.%N)
last=$begun
phase() {
  local now
  now=$(date +%s.%N)
  printf '%-44s %6.1f s  (at %6.1f s)\n' "$1" "$(bc -l <<<"$now - $last")" "$(bc -l <<<"$now - $begun")"
  last=$now
}
# Until a command succeeds; Talos offers no single watch for these.
until_true() { until "$@" >/dev/null 2>&1; do sleep 0.5; done; }

mirrors=
for host in factory.talos.dev ghcr.io registry.k8s.io quay.io docker.io; do mirrors+="      $host: {endpoints: [\"$registry\"]}"$'\n'; done
cat >"$work/patch.yaml" <<YAML
machine:
  time: {disabled: true}
  registries:
    mirrors:
$mirrors
  kubelet:
    extraConfig:
      failCgroupV1: false
      featureGates: {KubeletInUserNamespace: true}
      httpCheckFrequency: 1s
      crashLoopBackOff: {maxContainerRestartPeriod: 2s}
cluster:
  network: {cni: {name: none}}
  proxy: {disabled: true}
  coreDNS: {disabled: true}
  discovery: {enabled: false}
  allowSchedulingOnControlPlanes: true
YAML
cat >"$work/vip.yaml" <<YAML
apiVersion: v1alpha1
kind: Layer2VIPConfig
name: $(fact vip)
link: eth0
YAML
talosctl gen config bare "https://$(fact vip):6443" --kubernetes-version "$(fact versions kubernetes)" --install-disk /dev/sda --output "$work" \
  --config-patch "@$work/patch.yaml" --config-patch-control-plane "@$work/vip.yaml" >/dev/null
talosctl config endpoint "${addresses[@]}"
talosctl config node "${addresses[0]}"
phase "configuration generated"

applying=()
for address in "${addresses[@]}"; do
  talosctl apply-config --insecure --nodes "$address" --file "$work/controlplane.yaml" &
  applying+=($!)
done
for job in "${applying[@]}"; do wait "$job"; done
phase "applied to ${#addresses[@]} machine(s)"

until_true talosctl --endpoints "${addresses[0]}" bootstrap
phase "bootstrap accepted"

until_true talosctl kubeconfig --force "$KUBECONFIG"
voters() { [ "$(talosctl --nodes "${addresses[0]}" etcd members 2>/dev/null | grep -c ' false *$')" = "${#addresses[@]}" ]; }
until_true voters
phase "etcd has ${#addresses[@]} voters"

until_true kubectl --request-timeout 2s get --raw /readyz
phase "API server answers at the virtual address"

registered() { [ "$(kubectl --request-timeout 2s get nodes -o name | wc -l)" = "${#addresses[@]}" ]; }
until_true registered
phase "nodes registered"

kubectl apply --server-side -f "$here/cni.yaml" >/dev/null
phase "CNI applied"

kubectl wait --for condition=Ready nodes --all --timeout 600s >/dev/null
phase "nodes Ready"

pods() { [ "$(kubectl get pods -n kube-system --field-selector status.phase=Running -o name | grep -cE 'kube-(apiserver|controller-manager|scheduler)')" = "$((3 * ${#addresses[@]}))" ]; }
until_true pods
phase "static pods Running"
kubectl get nodes -o wide
