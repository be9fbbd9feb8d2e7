#!/usr/bin/env python3
"""deploy/chaos, rendered offline: fields that Chaos Mesh's v1alpha1 knows, steps in their order, faults that hit pods
of deploy/kubernetes' StatefulSet and end, checks that ask where its readiness probe does, a load that its NetworkPolicy
lets in. Then each rule is shown a manifest in which something is changed, and must find it.

  tests/kubernetes/chaos.py

Needs kubectl 1.27 or later: says so and ends with 77."""
import copy
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from manifests import Cluster, KUBERNETES, ROOT, lets_in, need_kubectl, objects_of, render  # noqa: E402

CHAOS = ROOT / "deploy" / "chaos"
SCENARIOS = {"pod-kill": "PodChaos", "partition": "NetworkChaos", "io-errors": "IOChaos", "clock-skew": "TimeChaos"}
NAMESPACE = "grid"
# What a field may be: a type, the words that it knows, a pattern, or fields in it; "?" before a name: optional.
TIME = r"\d+(ms|s|m)"
LABELS = {"?labelSelectors": dict, "?expressionSelectors": list}
FIELD_OF = {"PodChaos": "podChaos", "NetworkChaos": "networkChaos", "IOChaos": "ioChaos", "TimeChaos": "timeChaos"}
FAULTS = {
    "podChaos": {"action": ("pod-kill",), "mode": ("one",), "?gracePeriod": int, "selector": LABELS},
    "networkChaos": {"action": ("partition",), "direction": ("to", "from", "both"), "mode": ("one",),
                     "selector": LABELS, "target": {"mode": ("all",), "selector": LABELS}},
    "ioChaos": {"action": ("fault",), "mode": ("one",), "containerNames": list, "volumePath": str, "path": str,
                "methods": ["read", "write", "fsync", "flush"], "errno": int, "?percent": int, "selector": LABELS},
    "timeChaos": {"mode": ("one",), "containerNames": list, "timeOffset": "-?" + TIME,
                  "clockIds": ["CLOCK_REALTIME", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME"], "selector": LABELS},
}
CHECK = {"mode": ("Synchronous", "Continuous"), "type": ("HTTP",), "intervalSeconds": int, "timeoutSeconds": int,
         "successThreshold": int, "failureThreshold": int,
         "http": {"url": str, "method": ("GET", "POST"), "criteria": {"statusCode": r"\d{3}"}}}
TEMPLATES = {
    "Serial": {"name": str, "templateType": str, "deadline": TIME, "children": list},
    "Parallel": {"name": str, "templateType": str, "deadline": TIME, "children": list},
    "StatusCheck": {"name": str, "templateType": str, "abortWithStatusCheck": bool, "statusCheck": CHECK},
    **{kind: {"name": str, "templateType": str, "deadline": TIME, field: FAULTS[field]}
       for kind, field in FIELD_OF.items()},
}


def unknown(value, wanted, place):
    """What of it is not as wanted."""
    if isinstance(wanted, dict):
        names = {name.removeprefix("?") for name in wanted}
        yield from (f"{place}.{name} is no field" for name in value if name not in names)
        for name, inner in wanted.items():
            if name.removeprefix("?") in value:
                yield from unknown(value[name.removeprefix("?")], inner, f"{place}.{name.removeprefix('?')}")
            elif not name.startswith("?"):
                yield f"{place}.{name} is missing"
    elif isinstance(wanted, type):
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is int):
            yield f"{place} is {value!r}"
    elif isinstance(wanted, list):
        yield from (f"{place} has {one!r}" for one in value if one not in wanted)
    elif value not in wanted if isinstance(wanted, tuple) else not re.fullmatch(wanted, str(value)):
        yield f"{place} is {value!r}"


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


class Scenario:
    def __init__(self, name, workflow, load, cluster):
        self.name, self.workflow, self.load, self.cluster = name, workflow, load, cluster
        self.templates = {one["name"]: one for one in workflow["spec"]["templates"]}
        self.step = self.templates.get("fault", {})
        self.fault = next((value for key, value in self.step.items() if key in FAULTS), {})

    def children(self, name):
        return [self.templates[child] for child in self.templates[name]["children"] if child in self.templates]

    def selectors(self):
        yield self.fault.get("selector", {})
        if "target" in self.fault:
            yield self.fault["target"]["selector"]


# --- rules: each gives what is wrong, in words ------------------------------------------------------------------------

def fields_are_known(s):
    if (s.workflow["apiVersion"], s.workflow["kind"]) != ("chaos-mesh.org/v1alpha1", "Workflow"):
        yield "it is no Workflow"
    for one in s.workflow["spec"]["templates"]:
        if one["templateType"] in TEMPLATES:
            yield from unknown(one, TEMPLATES[one["templateType"]], one["name"])
        else:
            yield f"{one['name']} is a {one['templateType']}"


def steps_are_in_order(s):
    first = s.templates.get(s.workflow["spec"]["entry"], {})
    if first.get("templateType") != "Serial" or first.get("children") != ["ready-before", "fault", "ready-after"]:
        yield "it does not go from ready by the fault to ready"
    named = {child for one in s.templates.values() for child in one.get("children", [])}
    if named | {s.workflow["spec"]["entry"]} != set(s.templates):
        yield "a step is missing, or never taken"
    if s.workflow["metadata"]["name"] != f"evgrid-chaos-{s.name}" or s.step.get("templateType") != SCENARIOS[s.name]:
        yield "it is another scenario than its folder says"


def checks_ask_as_the_probe_does(s):
    probe = s.cluster.node["readinessProbe"]["httpGet"]
    port = {one["name"]: one["containerPort"] for one in s.cluster.node["ports"]}[probe["port"]]
    urls = {f"http://evgrid-{i}.{s.cluster.set['serviceName']}.{NAMESPACE}.svc:{port}{probe['path']}"
            for i in range(s.cluster.set["replicas"])}
    for name in ("ready-before", "ready-after"):
        checks = s.children(name)
        if {one["statusCheck"]["http"]["url"] for one in checks} != urls:
            yield f"{name} does not ask every founder whether it is ready"
        if not all(one.get("abortWithStatusCheck") for one in checks):
            yield f"{name} goes on where one is not ready"
        if any(one["statusCheck"]["http"]["criteria"]["statusCode"] != "200" or
               one["statusCheck"]["mode"] != "Synchronous" for one in checks):
            yield f"{name} waits for another answer"


def checks_have_their_time(s):
    """A step whose deadline passes counts as done: a check must have failed before."""
    for name in ("ready-before", "ready-after"):
        for one in s.children(name):
            check = one["statusCheck"]
            longest = check["failureThreshold"] * (check["intervalSeconds"] + check["timeoutSeconds"])
            if longest > seconds(s.templates[name]["deadline"]):
                yield f"{one['name']} may be cut off by the deadline of {name}"
    whole = seconds(s.templates["scenario"]["deadline"])
    if sum(seconds(s.templates[one]["deadline"]) for one in ("ready-before", "fault", "ready-after")) > whole:
        yield "the scenario is cut off by its deadline"


def faults_hit_our_pods(s):
    labels = s.cluster.set["template"]["metadata"]["labels"]
    for selector in s.selectors():
        wanted = dict(selector.get("labelSelectors", {}))
        pod = wanted.pop("statefulset.kubernetes.io/pod-name", "evgrid-0")
        if wanted != labels or not re.fullmatch(r"evgrid-[0-2]", pod):
            yield "it hits other pods"
    for name in s.fault.get("containerNames", []):
        if name not in {one["name"] for one in s.cluster.pod["containers"]}:
            yield f"there is no container {name}"


def one_pod_is_cut_from_all_others(s):
    if "target" not in s.fault:
        return
    own = s.fault["selector"].get("labelSelectors", {}).get("statefulset.kubernetes.io/pod-name")
    others = [{"key": "statefulset.kubernetes.io/pod-name", "operator": "NotIn", "values": [own]}]
    if own is None or s.fault["target"]["selector"].get("expressionSelectors") != others:
        yield "it is not one pod, and the others, that do not hear each other"
    if s.fault["direction"] != "both":
        yield "it is cut one way"


def disks_are_the_data(s):
    if "volumePath" not in s.fault:
        return
    data = next(one["mountPath"] for one in s.cluster.node["volumeMounts"] if one["name"] == "data")
    if s.fault["volumePath"] != data or not s.fault["path"].startswith(f"{data}/data/"):
        yield "another volume fails, or what is not the node's"
    if not {"write", "fsync"} <= set(s.fault["methods"]) or s.fault["errno"] != 5:
        yield "writes and syncs do not fail with EIO"


def clocks_are_off_enough(s):
    """docs/decisions/0014-clocks.md: more than a second; monotonic clocks measure leases, and are nobody's to set."""
    if "timeOffset" not in s.fault:
        return
    if seconds(s.fault["timeOffset"].removeprefix("-")) <= 1 or s.fault["clockIds"] != ["CLOCK_REALTIME"]:
        yield "the wall clock is not off by more than a second, or another clock is"


def the_load_may_come_in(s):
    policy = s.cluster.one("NetworkPolicy", "evgrid")["spec"]
    labels = s.load["metadata"]["labels"]
    if not lets_in(policy, labels, 7400):
        yield "the load's pod is no client"
    if s.cluster.set["selector"]["matchLabels"].items() <= labels.items():
        yield "the load's pod is taken for a node"
    container = s.load["spec"]["containers"][0]
    if "bench publish" not in container["args"][0] or "--verify" not in container["args"][0]:
        yield "the load verifies nothing"
    if {"name": "EVGRID_SERVER", "value": "evgrid:7400"} not in container["env"] or container["image"] != "evgrid":
        yield "the load goes elsewhere, or is not of the nodes' image"


RULES = [fields_are_known, steps_are_in_order, checks_ask_as_the_probe_does, checks_have_their_time,
         faults_hit_our_pods, one_pod_is_cut_from_all_others, disks_are_the_data, clocks_are_off_enough,
         the_load_may_come_in]


# --- changes that must be found: rule, scenario, template or None for the load, path in it, value (None: taken away) --

LOAD = None
BROKEN = [
    (RULES[0], "pod-kill", "fault", "podChaos.selectors", {}),
    (RULES[0], "pod-kill", "fault", "podChaos.action", "kill"),
    (RULES[0], "pod-kill", "fault", "templateType", "PodKill"),
    (RULES[0], "io-errors", "fault", "ioChaos.volumePath", None),
    (RULES[0], "io-errors", "fault", "ioChaos.methods.0", "sync"),
    (RULES[0], "clock-skew", "fault", "timeChaos.timeOffset", 3),
    (RULES[0], "clock-skew", "before-0", "statusCheck.successThreshold", "3"),
    (RULES[1], "pod-kill", "fault", "name", "other"),
    (RULES[1], "pod-kill", "scenario", "children", ["fault", "ready-before", "ready-after"]),
    (RULES[1], "pod-kill", "ready-after", "children.0", "before-0"),
    (RULES[1], "pod-kill", "fault", "templateType", "TimeChaos"),
    (RULES[2], "partition", "after-1", "statusCheck.http.url", "http://evgrid-1.evgrid-headless.grid.svc:7480/livez"),
    (RULES[2], "partition", "after-1", "statusCheck.http.url", "http://evgrid-1.evgrid.grid.svc:7480/readyz"),
    (RULES[2], "partition", "before-2", "statusCheck.http.url", "http://evgrid-2.evgrid-headless.grid.svc:80/readyz"),
    (RULES[2], "partition", "ready-after", "children", ["after-0", "after-1"]),
    (RULES[2], "partition", "after-0", "abortWithStatusCheck", None),
    (RULES[2], "partition", "after-0", "statusCheck.http.criteria.statusCode", "503"),
    (RULES[2], "partition", "before-0", "statusCheck.mode", "Continuous"),
    (RULES[3], "partition", "after-0", "statusCheck.failureThreshold", 100),
    (RULES[3], "partition", "fault", "deadline", "5m"),
    (RULES[4], "io-errors", "fault", "ioChaos.selector.labelSelectors.other", "x"),
    (RULES[4], "io-errors", "fault", "ioChaos.selector.labelSelectors", {}),
    (RULES[4], "io-errors", "fault", "ioChaos.containerNames.0", "node"),
    (RULES[4], "partition", "fault", "networkChaos.target.selector.labelSelectors", {"app": "evgrid"}),
    (RULES[5], "partition", "fault", "networkChaos.target.selector.expressionSelectors", None),
    (RULES[5], "partition", "fault", "networkChaos.target.selector.expressionSelectors.0.values.0", "evgrid-1"),
    (RULES[5], "partition", "fault", "networkChaos.direction", "to"),
    (RULES[6], "io-errors", "fault", "ioChaos.volumePath", "/tmp"),
    (RULES[6], "io-errors", "fault", "ioChaos.path", "/var/lib/evgrid/**"),
    (RULES[6], "io-errors", "fault", "ioChaos.errno", 28),
    (RULES[6], "io-errors", "fault", "ioChaos.methods", ["write"]),
    (RULES[7], "clock-skew", "fault", "timeChaos.timeOffset", "900ms"),
    (RULES[7], "clock-skew", "fault", "timeChaos.clockIds", ["CLOCK_MONOTONIC"]),
    (RULES[8], "pod-kill", LOAD, "metadata.labels.evgrid-client", None),
    (RULES[8], "pod-kill", LOAD, "metadata.labels",
     {"evgrid-client": "true", "app.kubernetes.io/name": "evgrid", "app.kubernetes.io/component": "node"}),
    (RULES[8], "pod-kill", LOAD, "spec.containers.0.args.0", "evgrid bench publish"),
    (RULES[8], "pod-kill", LOAD, "spec.containers.0.image", "other"),
    (RULES[8], "pod-kill", LOAD, "spec.containers.0.env.0.value", "evgrid-headless:7400"),
]


def broken(scenario, template, path, value):
    workflow, load = copy.deepcopy(scenario.workflow), copy.deepcopy(scenario.load)
    at = next((one for one in workflow["spec"]["templates"] if one["name"] == template), load)
    *way, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    for word in way:
        at = at[word]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return Scenario(scenario.name, workflow, load, scenario.cluster)


def check_broken(scenarios):
    for rule, name, template, path, value in BROKEN:
        if not list(rule(broken(scenarios[name], template, path, value))):
            yield f"{rule.__name__} does not see {template} of {name} with {path}: {value}"
    seen = {one[0] for one in BROKEN}
    yield from (f"{rule.__name__} has never been seen to fail" for rule in RULES if rule not in seen)


def main():
    need_kubectl()
    cluster = Cluster(render(KUBERNETES / "overlays" / "production"))
    load = objects_of((CHAOS / "load.yaml").read_text(encoding="utf-8"))[0]
    scenarios = {name: Scenario(name, render(CHAOS / name)[0], load, cluster) for name in SCENARIOS}
    faults = [f"{name}: {rule.__name__}: {fault}" for name, one in scenarios.items() for rule in RULES
              for fault in rule(one)]
    faults += check_broken(scenarios)
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(scenarios)} scenarios, {len(RULES)} rules, seen to fail by {len(BROKEN)} changes; "
          f"{len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
