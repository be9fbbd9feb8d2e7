#!/usr/bin/env python3
"""deploy/kubernetes, rendered offline: what must be so of every overlay and component, as rules; the ConfigMap as
evgridd reads it; metrics named in alerts and dashboard, against the registry. Then each rule is shown a manifest in
which something is changed, and must find it.

  tests/kubernetes/manifests.py

Needs kubectl 1.27 or later: says so and ends with 77. Uses the build in EVGRID_BUILD (default build/)."""
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
BUILD = pathlib.Path(os.environ.get("EVGRID_BUILD", ROOT / "build"))
EVERYTHING = """apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: grid
resources: [{0}/overlays/monitoring]
components: [{0}/components/keys, {0}/components/zone]
images: [{{name: evgrid, newName: registry.example/evgrid, newTag: 1.2.3}}]
"""
KEY_FILES = {"EVGRID_KEYS__SECRET": "node.key", "EVGRID_KEYS__TRUSTED": "trusted",
             "EVGRID_KEY": "operator.key", "EVGRID_NODE_KEYS": "nodes"}
NOT_METRICS = {"up"}
FUNCTIONS = {"absent", "and", "by", "count", "histogram_quantile", "increase", "max", "min", "or", "rate", "sum",
             "unless"}


def skip(why):
    print(f"skipped: {why}", file=sys.stderr)
    sys.exit(77)


def need_kubectl():
    if shutil.which("kubectl") is None:
        skip("needs kubectl (1.27 or later)")
    said = json.loads(subprocess.run(["kubectl", "version", "--client", "-o", "json"], text=True, check=True,
                                     stdout=subprocess.PIPE).stdout)["clientVersion"]
    if (int(said["major"]), int(re.match(r"\d+", said["minor"])[0])) < (1, 27):
        skip(f"needs kubectl 1.27 or later, this is {said['gitVersion']}")


def render(folder):
    return objects_of(subprocess.run(["kubectl", "kustomize", str(folder)], text=True, check=True,
                                     stdout=subprocess.PIPE).stdout)


def objects_of(manifest):
    text = subprocess.run(["kubectl", "annotate", "--local", "-f", "-", "tried=yes", "-o", "json"], input=manifest,
                          text=True, check=True, stdout=subprocess.PIPE).stdout
    decoder, objects = json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        objects.append(one)
        text = text.lstrip()[end:]
    return objects


class Cluster:
    """One rendering, by kinds and names."""

    def __init__(self, objects):
        self.objects = objects
        self.set = self.one("StatefulSet", "evgrid")["spec"]
        self.pod = self.set["template"]["spec"]
        self.node = self.pod["containers"][0]
        self.containers = [*self.pod.get("initContainers", []), *self.pod["containers"]]

    def all(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind, name):
        return next(one for one in self.all(kind) if re.fullmatch(name + "(-[0-9a-z]{10})?", one["metadata"]["name"]))

    def environment(self):
        return {one["name"]: one.get("value") for one in self.node["env"]}


# --- rules: each gives what is wrong, in words ------------------------------------------------------------------------

def pods_come_together_and_go_by_rollout(c):
    if c.set["podManagementPolicy"] != "Parallel":
        yield "pods come one after the other: a cluster is never formed"
    partition = c.set["updateStrategy"]["rollingUpdate"]["partition"]
    if partition < c.set["replicas"] and c.set["replicas"] > 1:
        yield f"partition {partition}: pods are updated unasked"


def volumes_stay(c):
    if c.set["persistentVolumeClaimRetentionPolicy"] != {"whenDeleted": "Retain", "whenScaled": "Retain"}:
        yield "volumes are deleted"
    if [one["metadata"]["name"] for one in c.set["volumeClaimTemplates"]] != ["data"]:
        yield "the data has no volume"
    if {"name": "data", "mountPath": "/var/lib/evgrid"} not in c.node["volumeMounts"]:
        yield "the volume is not mounted where the data is"


def services_find_pods(c):
    labels = c.set["template"]["metadata"]["labels"]
    headless, clients = c.one("Service", "evgrid-headless")["spec"], c.one("Service", "evgrid")["spec"]
    if headless.get("clusterIP") != "None" or not headless.get("publishNotReadyAddresses"):
        yield "pods are not found before they are ready"
    if clients.get("publishNotReadyAddresses"):
        yield "clients are sent to pods that are not ready"
    if c.set["serviceName"] != "evgrid-headless" or c.environment()["EVGRID_SERVICE"] != "evgrid-headless":
        yield "pods are not named by the headless Service"
    ports = {one["name"] for one in c.node["ports"]}
    for service in (headless, clients):
        if any(labels.get(key) != value for key, value in service["selector"].items()):
            yield "a Service selects other pods"
        if not {one["targetPort"] for one in service["ports"]} <= ports:
            yield "a Service names a port that the container has not"
        if not all("appProtocol" in one for one in service["ports"]):
            yield "a port of a Service does not say its protocol"


def probes_ask_what_they_mean(c):
    wanted = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    ports = {one["name"]: one["containerPort"] for one in c.node["ports"]}
    for name, path in wanted.items():
        probe = c.node[name]
        if probe["httpGet"]["path"] != path or ports.get(probe["httpGet"]["port"]) != 7480:
            yield f"{name} does not ask {path} at the operations port"
    liveness, startup = c.node["livenessProbe"], c.node["startupProbe"]
    if liveness["periodSeconds"] * liveness["failureThreshold"] < 60:
        yield "liveness is judged within a minute"
    if startup["periodSeconds"] * startup["failureThreshold"] < 900:
        yield "a start has less than 15 minutes"


def stops_have_half_of_the_grace(c):
    if c.node.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command") != ["prestop"]:
        yield "nothing is handed over before a stop"
    if int(c.environment()["EVGRID_PRESTOP_SECONDS"]) * 2 != c.pod["terminationGracePeriodSeconds"]:
        yield "the pre-stop script has not half of the grace period"


def evictions_take_one_pod(c):
    budget = c.one("PodDisruptionBudget", "evgrid")["spec"]
    if budget.get("maxUnavailable") != 1 or budget.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        yield "not one pod at a time, or one that is not ready stands in the way"
    if budget["selector"] != c.set["selector"]:
        yield "the budget counts other pods than the StatefulSet's"


def pods_are_spread(c):
    spread = {one["topologyKey"]: one for one in c.pod["topologySpreadConstraints"]}
    if set(spread) != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
        yield "pods are not spread over zones and machines"
    if c.set["replicas"] > 1 and spread.get("kubernetes.io/hostname", {}).get("whenUnsatisfiable") != "DoNotSchedule":
        yield "two pods may share a machine"
    if any(one["labelSelector"] != c.set["selector"] for one in spread.values()):
        yield "other pods are spread"
    zone = next((one for one in c.node["env"] if one["name"] == "EVGRID_NODE__ZONE"), {})
    if "topology.kubernetes.io/zone" not in json.dumps(zone):
        yield "nodes do not learn their zone"


def containers_have_no_rights(c):
    own = c.pod["securityContext"]
    if not (own.get("runAsNonRoot") and own.get("runAsUser") and own.get("fsGroup")):
        yield "a pod may run as root"
    if own.get("fsGroupChangePolicy") != "OnRootMismatch":
        yield "a large volume is walked through at every start"
    if own.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    for one in c.containers:
        context = one.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or not context.get("readOnlyRootFilesystem") or \
                context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"container {one['name']} has more rights than it needs"
        memory = one["resources"]
        if memory["limits"].get("memory") != memory["requests"].get("memory") or "cpu" in memory["limits"]:
            yield f"container {one['name']}: memory is not what is asked for, or the processor is throttled"


def pods_see_little(c):
    if c.pod.get("enableServiceLinks") is not False or c.pod.get("shareProcessNamespace") is not False:
        yield "Services' addresses come into the environment, or processes are shared"
    needed = bool(c.all("Role") or c.all("ClusterRole"))
    if c.pod.get("automountServiceAccountToken") is not needed:
        yield "a token is there without need, or missing"
    if c.one("ServiceAccount", "evgrid").get("automountServiceAccountToken") is not False:
        yield "the service account gives its token to anybody"
    for role in c.all("Role"):
        for rule in role["rules"]:
            if rule["verbs"] != ["get"] or rule.get("resourceNames") != ["evgrid"]:
                yield "a role gives more than one object to read"
    for role in c.all("ClusterRole"):
        if role["rules"] != [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]:
            yield "the cluster role gives more than machines to read"
    own = [{"kind": "ServiceAccount", "name": "evgrid",
            "namespace": c.one("ServiceAccount", "evgrid")["metadata"].get("namespace", "default")}]
    for binding in c.all("ClusterRoleBinding"):
        if binding["subjects"] != own:
            yield "the cluster role is given to another account"
    if re.search(r'secretKeyRef|secretRef', json.dumps(c.pod)):
        yield "a secret is in the environment"


def selects(selector, labels):
    """Whether a pod with these labels is selected; of expressions only those with In are known here."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        one["operator"] == "In" and labels.get(one["key"]) in one["values"]
        for one in selector.get("matchExpressions", []))


def lets_in(policy, labels, port):
    """Whether it lets pods of its own namespace with these labels in at this port."""
    return any(selects(peer["podSelector"], labels) for rule in policy["ingress"] for peer in rule.get("from", [])
               if "podSelector" in peer and any(one["port"] <= port <= one.get("endPort", one["port"])
                                                for one in rule.get("ports", [])))


def traffic_is_named(c):
    policy = c.one("NetworkPolicy", "evgrid")["spec"]
    if sorted(policy["policyTypes"]) != ["Egress", "Ingress"] or \
            policy["podSelector"]["matchLabels"] != c.set["selector"]["matchLabels"]:
        yield "the policy is not for both ways, or of other pods"
    if any("from" not in one or "ports" not in one for one in policy["ingress"]):
        yield "anybody reaches a port, or all ports are open"
    own = {"podSelector": c.set["selector"]}
    if not any(own in one.get("from", []) and one.get("ports", [{}])[0].get("endPort") == 7408
               for one in policy["ingress"]):
        yield "pods do not reach each other"
    if not lets_in(policy, {"evgrid-client": "true"}, 7400) or lets_in(policy, {"evgrid-client": "no"}, 7400):
        yield "clients of the namespace are not let in, or others are"
    if not any(port["port"] == 53 and port["protocol"] == "UDP" for one in policy["egress"] for port in one["ports"]):
        yield "names cannot be looked up"


def files_are_there(c):
    volumes = {one["name"]: one for one in c.pod["volumes"]}
    mounts = {one["name"]: one for one in c.node["volumeMounts"]}
    for path in ("/tmp", "/run/evgrid", "/etc/evgrid"):
        if path not in {one["mountPath"] for one in mounts.values()}:
            yield f"{path} is not mounted"
    config = c.one("ConfigMap", "evgrid-config")
    if volumes["config"]["configMap"]["name"] != config["metadata"]["name"] or set(config["data"]) != {"evgridd.yaml"}:
        yield "the configuration is not what is mounted"
    if not set(mounts) <= set(volumes) | {"data"}:
        yield "a volume is mounted that is not there"


def keys_are_named(c):
    """For the node, and for the evgrid command in its pod."""
    volume = next((one for one in c.pod["volumes"] if one["name"] == "keys"), None)
    if volume is None:
        return
    if volume["secret"].get("defaultMode") != 0o400:
        yield "others may read the keys"
    mount = next((one for one in c.node["volumeMounts"] if one["name"] == "keys"), {})
    for name, file in KEY_FILES.items():
        if mount.get("readOnly") is not True or c.environment().get(name) != f"{mount['mountPath']}/{file}":
            yield f"{name} is not {file} of the Secret"


def shards_are_fixed(c):
    """Which machine a pod is on must not decide how many there are; each has its port."""
    found = re.search(r"^shards: (\d+)$", c.one("ConfigMap", "evgrid-config")["data"]["evgridd.yaml"], re.M)
    ports = [one["containerPort"] for one in c.node["ports"]]
    if found is None or any(7400 + i not in ports for i in range(int(found[1]) + 1)):
        yield "the number of shards is open, or a shard has no port"


def production_names_its_image(c):
    if c.set["replicas"] > 1 and c.all("Role") and not re.search(r":\d+\.\d+\.\d+$", c.node["image"]):
        yield f"which image is {c.node['image']}?"
    if len({one["image"] for one in c.containers}) != 1:
        yield "containers are of different images"


def metrics_named():
    return set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8"), re.M))


def expressions(c):
    for rule in c.all("PrometheusRule"):
        for one in rule["spec"]["groups"][0]["rules"]:
            yield one["alert"], one["expr"]
    for config in c.all("ConfigMap"):
        for name, text in config["data"].items():
            if name.endswith(".json"):
                for panel in json.loads(text)["panels"]:
                    for target in panel.get("targets", []):
                        yield panel["title"], target["expr"]


def words_of(expression):
    """The names in it that are neither labels nor functions."""
    bare = re.sub(r'\{[^}]*\}|\[[^]]*\]|"[^"]*"|\bby \([^)]*\)', " ", expression)
    return {re.sub("_bucket$", "", word) for word in re.findall(r"[a-z_][a-z0-9_]*", bare)} - FUNCTIONS


def metrics_exist(c):
    known = metrics_named() | NOT_METRICS
    for title, expression in expressions(c):
        if not words_of(expression) or words_of(expression) - known:
            yield f"{title}: {words_of(expression) - known or 'no metric'} in {expression}"


def alerts_say_what_to_do(c):
    for rule in c.all("PrometheusRule"):
        for one in rule["spec"]["groups"][0]["rules"]:
            notes = one["annotations"]
            if not notes.get("summary") or not notes.get("description") or not (ROOT / notes["runbook"]).is_file():
                yield f"{one['alert']} does not say what to do"


def scrapes_reach_pods(c):
    ports = {one["name"] for one in c.one("Service", "evgrid-headless")["spec"]["ports"]}
    labels = c.one("Service", "evgrid-headless")["metadata"]["labels"]
    for monitor in c.all("ServiceMonitor"):
        if not monitor["spec"]["selector"]["matchLabels"].items() <= labels.items() or \
                any(one["port"] not in ports or one["path"] != "/metrics" for one in monitor["spec"]["endpoints"]):
            yield "the ServiceMonitor scrapes something else"


RULES = [pods_come_together_and_go_by_rollout, volumes_stay, services_find_pods, probes_ask_what_they_mean,
         stops_have_half_of_the_grace, evictions_take_one_pod, pods_are_spread, containers_have_no_rights,
         pods_see_little, traffic_is_named, files_are_there, shards_are_fixed, production_names_its_image,
         metrics_exist, alerts_say_what_to_do, scrapes_reach_pods, keys_are_named]


# --- changes that must be found: rule, kind, name, path, value (None: taken away) -------------------------------------

POD, NODE = "spec.template.spec.", "spec.template.spec.containers.0."
SET = ("StatefulSet", "evgrid")
BROKEN = [
    (RULES[0], *SET, "spec.podManagementPolicy", "OrderedReady"),
    (RULES[0], *SET, "spec.updateStrategy.rollingUpdate.partition", 0),
    (RULES[1], *SET, "spec.persistentVolumeClaimRetentionPolicy.whenScaled", "Delete"),
    (RULES[1], *SET, "spec.volumeClaimTemplates.0.metadata.name", "other"),
    (RULES[1], *SET, NODE + "volumeMounts.0.mountPath", "/other"),
    (RULES[2], "Service", "evgrid-headless", "spec.publishNotReadyAddresses", None),
    (RULES[2], "Service", "evgrid-headless", "spec.clusterIP", None),
    (RULES[2], "Service", "evgrid", "spec.publishNotReadyAddresses", True),
    (RULES[2], "Service", "evgrid", "spec.ports.0.targetPort", "client"),
    (RULES[2], "Service", "evgrid", "spec.ports.0.appProtocol", None),
    (RULES[2], "Service", "evgrid", "spec.selector.other", "x"),
    (RULES[2], *SET, "spec.serviceName", "evgrid"),
    (RULES[3], *SET, NODE + "livenessProbe.httpGet.path", "/readyz"),
    (RULES[3], *SET, NODE + "startupProbe.httpGet.port", "control"),
    (RULES[3], *SET, NODE + "livenessProbe.failureThreshold", 1),
    (RULES[3], *SET, NODE + "startupProbe.failureThreshold", 3),
    (RULES[4], *SET, NODE + "lifecycle", None),
    (RULES[4], *SET, POD + "terminationGracePeriodSeconds", 30),
    (RULES[5], "PodDisruptionBudget", "evgrid", "spec.maxUnavailable", 2),
    (RULES[5], "PodDisruptionBudget", "evgrid", "spec.unhealthyPodEvictionPolicy", None),
    (RULES[5], "PodDisruptionBudget", "evgrid", "spec.selector.matchLabels.other", "x"),
    (RULES[6], *SET, POD + "topologySpreadConstraints.0.topologyKey", "other"),
    (RULES[6], *SET, POD + "topologySpreadConstraints.1.whenUnsatisfiable", "ScheduleAnyway"),
    (RULES[6], *SET, POD + "topologySpreadConstraints.1.labelSelector.matchLabels.other", "x"),
    (RULES[6], *SET, NODE + "env.EVGRID_NODE__ZONE.valueFrom", {}),
    (RULES[7], *SET, POD + "securityContext.runAsNonRoot", None),
    (RULES[7], *SET, POD + "securityContext.fsGroupChangePolicy", None),
    (RULES[7], *SET, POD + "securityContext.seccompProfile", None),
    (RULES[7], *SET, NODE + "securityContext.readOnlyRootFilesystem", False),
    (RULES[7], *SET, NODE + "securityContext.allowPrivilegeEscalation", None),
    (RULES[7], *SET, NODE + "securityContext.capabilities.drop", []),
    (RULES[7], *SET, POD + "initContainers.0.securityContext", None),
    (RULES[7], *SET, NODE + "resources.limits.memory", "1Mi"),
    (RULES[7], *SET, NODE + "resources.limits.cpu", "1"),
    (RULES[8], *SET, POD + "enableServiceLinks", None),
    (RULES[8], *SET, POD + "shareProcessNamespace", True),
    (RULES[8], *SET, POD + "automountServiceAccountToken", False),
    (RULES[8], "ServiceAccount", "evgrid", "automountServiceAccountToken", None),
    (RULES[8], "Role", "evgrid-wanted", "rules.0.verbs", ["get", "patch"]),
    (RULES[8], "Role", "evgrid-wanted", "rules.0.resourceNames", None),
    (RULES[8], "ClusterRole", "evgrid-zone", "rules.0.resources", ["*"]),
    (RULES[8], "ClusterRoleBinding", "evgrid-zone", "subjects.0.namespace", "default"),
    (RULES[8], *SET, NODE + "env.POD_NAME.valueFrom", {"secretKeyRef": {"name": "evgrid-keys", "key": "secret"}}),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.policyTypes", ["Ingress"]),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.0.from", None),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.0.from", []),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.1.ports", None),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.egress.1.ports", []),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.podSelector.matchLabels.other", "x"),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.0.from.1.podSelector.matchLabels", {"evgrid-client": "no"}),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.0.from.1.podSelector.matchExpressions.0.operator", "Exists"),
    (RULES[9], "NetworkPolicy", "evgrid", "spec.ingress.0.from.1.podSelector", {}),
    (RULES[10], *SET, NODE + "volumeMounts.3.mountPath", "/other"),
    (RULES[10], *SET, NODE + "volumeMounts.3.name", "other"),
    (RULES[10], *SET, POD + "volumes.0.configMap.name", "other"),
    (RULES[11], "ConfigMap", "evgrid-config", "data", {"evgridd.yaml": "insecure: true\n"}),
    (RULES[11], "ConfigMap", "evgrid-config", "data", {"evgridd.yaml": "shards: 3\n"}),
    (RULES[12], *SET, NODE + "image", "evgrid:latest"),
    (RULES[12], *SET, POD + "initContainers.0.image", "evgrid:0.0.1"),
    (RULES[13], "PrometheusRule", "evgrid", "spec.groups.0.rules.2.expr", "evgrid_no_such_metric > 0"),
    (RULES[13], "PrometheusRule", "evgrid", "spec.groups.0.rules.2.expr", "1 > 0"),
    (RULES[13], "ConfigMap", "evgrid-dashboard", "data",
     {"evgrid.json": '{"panels":[{"title":"x","targets":[{"expr":"rate(evgrid_nothing_total[5m])"}]}]}'}),
    (RULES[14], "PrometheusRule", "evgrid", "spec.groups.0.rules.0.annotations.description", None),
    (RULES[14], "PrometheusRule", "evgrid", "spec.groups.0.rules.0.annotations.runbook", "docs/none.md"),
    (RULES[15], "ServiceMonitor", "evgrid", "spec.endpoints.0.port", "metrics"),
    (RULES[15], "Service", "evgrid-headless", "metadata.labels.evgrid-scraped", None),
    (RULES[16], *SET, POD + "volumes.3.secret.defaultMode", 0o644),
    (RULES[16], *SET, NODE + "volumeMounts.4.readOnly", False),
    (RULES[16], *SET, NODE + "volumeMounts.4.mountPath", "/other"),
    (RULES[16], *SET, NODE + "env.EVGRID_KEYS__TRUSTED.value", "/etc/evgrid/trusted"),
    (RULES[16], *SET, NODE + "env.EVGRID_KEY.name", "OTHER"),
]


def broken(objects, kind, name, path, value):
    changed = copy.deepcopy(objects)
    at = Cluster(changed).one(kind, name)
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    for word in way:
        in_list = isinstance(at, list) and isinstance(word, str)
        at = next(one for one in at if one["name"] == word) if in_list else at[word]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return Cluster(changed)


def check_rules(where, objects):
    faults = [f"{where}: {rule.__name__}: {fault}" for rule in RULES for fault in rule(Cluster(objects))]
    return faults


def check_broken(objects):
    faults = [f"{rule.__name__} does not see {kind} {name} with {path}: {value}"
              for rule, kind, name, path, value in BROKEN if not list(rule(broken(objects, kind, name, path, value)))]
    seen = {one[0] for one in BROKEN}
    return faults + [f"{rule.__name__} has never been seen to fail" for rule in RULES if rule not in seen]


def make_keys(directory):
    """What docs/how-to/kubernetes.md puts into the Secret."""
    for file, role, name in (("node.key", "--for-node", "*"), ("operator.key", "--for-client", "operator")):
        subprocess.run([BUILD / "evgrid", "keygen", directory / file, role, name], check=True,
                       stdout=subprocess.DEVNULL)
    node, operator = ((directory / f"{name}.key.pub").read_text(encoding="ascii") for name in ("node", "operator"))
    (directory / "nodes").write_text(node, encoding="ascii")
    (directory / "trusted").write_text(node + operator, encoding="ascii")


def keys_of(c, directory):
    """The environment that names them, with a folder that has them in the mount's place."""
    mounts = [one["mountPath"] for one in c.node["volumeMounts"] if one["name"] == "keys"]
    return {name: value.replace(mounts[0], str(directory)) for name, value in c.environment().items()
            if mounts and name.startswith("EVGRID_KEYS__")}


def config_faults(c, directory):
    """As the entry script starts evgridd with it."""
    text = c.one("ConfigMap", "evgrid-config")["data"]["evgridd.yaml"]
    (directory / "evgridd.yaml").write_text(text, encoding="utf-8")
    founders = range(int(c.environment()["EVGRID_FOUNDERS"]))
    members = ",".join(f"evgrid-{i}=evgrid-{i}.evgrid-headless.default.svc.cluster.local:7400" for i in founders)
    done = subprocess.run([BUILD / "evgridd", "--config", directory / "evgridd.yaml", "--check-config"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env={"EVGRID_NODE__NAME": "evgrid-0", "EVGRID_DATA__DIR": str(directory / "data"),
                               "EVGRID_CLUSTER__MEMBERS": members, "EVGRID_NODE__ZONE": "",
                               "EVGRID_LISTEN__ADDRESS": "10.0.0.1", "EVGRID_HTTP__ADDRESS": "10.0.0.1",
                               **keys_of(c, directory)})
    return [] if done.returncode == 0 else [f"evgridd --check-config ended with {done.returncode}: {done.stdout}"]


def dashboard_faults():
    made = subprocess.run([KUBERNETES / "dashboard"], text=True, check=True, stdout=subprocess.PIPE).stdout
    place = KUBERNETES / "overlays/monitoring/dashboard.json"
    stored = place.read_text(encoding="utf-8")
    faults = [] if made == stored else [f"deploy/kubernetes/dashboard >{place.relative_to(ROOT)}"]
    shown = {panel["title"] for panel in json.loads(stored)["panels"] if panel["type"] != "row"}
    return faults + [f"the dashboard does not show {name}" for name in sorted(metrics_named() - shown)]


def main():
    need_kubectl()
    faults = dashboard_faults()
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        (folder / "kustomization.yaml").write_text(EVERYTHING.format(os.path.relpath(KUBERNETES, folder.resolve())),
                                                   encoding="utf-8")
        make_keys(folder)
        places = [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir()), folder]
        for place in places:
            objects = render(place)
            name = "with every component" if place == folder else place.name
            faults += check_rules(name, objects) + config_faults(Cluster(objects), folder)
        faults += check_broken(objects)
        bad = broken(objects, "ConfigMap", "evgrid-config", "data", {"evgridd.yaml": "shards: 2\nshard: 2\n"})
        if not config_faults(bad, folder):
            faults.append("a wrong configuration is not seen")
        if not config_faults(broken(objects, *SET, NODE + "env.EVGRID_KEYS__TRUSTED.name", "OTHER"), folder):
            faults.append("keys without those that are trusted are not seen")
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(places)} renderings, {len(RULES)} rules, seen to fail by {len(BROKEN)} changes; {len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
