"""Runs a Muster with what deploy/ puts around it, and looks at all of it from outside.

A real server, scraped by promtool and by a real Prometheus that has our rules; every expression of
the alerts and of the dashboard asked; the proxy of compose.yaml and of the chart in front of it, asked
with and without its credential. Everything ends with this script.
"""

import argparse
import base64
import json
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse

import yaml
from processes import PATIENCE_S, ROOT, Processes, ask, fail, free_port, start_muster, until

RIDE = {"ride_id": "ride-1", "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}}
CREDENTIAL = "Basic " + base64.b64encode(b"platform:open sesame").decode()


def serve_a_ride(url):
    profile = {"market": "nyc", "service_tiers": ["standard"], "vehicle": {"plate": "T6"}}
    fix = {"lat": 40.7490, "lng": -73.9857, "at": int(time.time() * 1000)}
    steps = [
        ("PUT", "/v1/drivers/d-1", profile),
        ("POST", "/v1/drivers/d-1/status", {"status": "online"}),
        ("POST", "/v1/drivers/d-1/positions", {"points": [fix]}),
        ("POST", "/v1/rides", RIDE),
    ]
    for method, path, body in steps:
        status, text = ask(url + path, body, method)
        if status >= 300:
            fail(f"{method} {path}: {status} {text}")

    def offers():
        found = json.loads(ask(f"{url}/v1/drivers/d-1/offers")[1])
        found = found.get("offers", []) if isinstance(found, dict) else found
        return found or None

    offer = until("an offer", offers)[0]["offer_id"]
    status, text = ask(f"{url}/v1/offers/{offer}/accept", {})
    if status != 200 or json.loads(text)["result"] != "won":
        fail(f"accept: {status} {text}")


def check_metrics(url):
    text = ask(f"{url}/metrics")[1]
    result = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    if result.returncode:
        fail(f"promtool check metrics:\n{result.stdout}{result.stderr}")
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    print(f"promtool finds nothing to say about {len(names)} metrics of a real scrape")


def start_prometheus(processes, url):
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy/prometheus/alerts.yml")]
    target = url.removeprefix("http://")
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (processes.folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    processes.start(
        "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    return f"http://127.0.0.1:{port}"


def query(prometheus, expression):
    arguments = urllib.parse.urlencode({"query": expression})
    status, text = ask(f"{prometheus}/api/v1/query?{arguments}")
    answer = json.loads(text)
    if status != 200 or answer["status"] != "success":
        fail(f"{expression!r} is refused: {answer.get('error', text)}")
    return answer["data"]["result"]


def check_expressions(prometheus):
    dashboard = json.loads((ROOT / "deploy/grafana/muster.json").read_text())
    expressions = [note["expr"] for note in dashboard["annotations"]["list"]]
    for panel in dashboard["panels"]:
        expressions += [target["expr"] for target in panel.get("targets", [])]
    variables = {r"\$__rate_interval": "5m", r"\$__range": "1h", r"\$(market|instance)": ".*"}
    for expression in expressions:
        for variable, value in variables.items():
            expression = re.sub(variable, value, expression)
        query(prometheus, expression)
    print(f"a real Prometheus answers all {len(expressions)} expressions of the dashboard")


def check_rules(prometheus):
    def rules():
        groups = json.loads(ask(f"{prometheus}/api/v1/rules")[1])["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    # Before the first scrape one is pending, rightly.
    def settled():
        known = all(rule["health"] != "unknown" for rule in rules())
        return known and all(rule["state"] != "pending" for rule in rules())

    until("the rules to be evaluated", settled)
    evaluated = rules()
    for rule in evaluated:
        if rule["health"] != "ok":
            fail(f"{rule['name']}: {rule.get('lastError')}")
        if rule["state"] != "inactive":
            fail(f"{rule['name']} is {rule['state']} on a server that is well")
    print(f"it evaluates all {len(evaluated)} alerts, and none is active on a server that is well")


def start_proxy(processes, url):
    folder, port = processes.folder, free_port()
    text = (ROOT / "deploy/helm/muster/files/nginx.conf.template").read_text()
    text = text.replace("${MUSTER_PROXY_PORT}", f"127.0.0.1:{port}")
    text = text.replace("127.0.0.1:9996", url.removeprefix("http://"))
    text = text.replace("/run/secrets/muster-proxy", str(folder))
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "open sesame"], check=True, capture_output=True, text=True
    ).stdout
    (folder / "htpasswd").write_text(f"platform:{hashed}")
    (folder / "temp").mkdir()
    temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temp_paths = "".join(f"{temp}_temp_path {folder}/temp/{temp};\n" for temp in temps)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        f"user root; events {{}} http {{ access_log off;\n{temp_paths}{text}}}\n"
    )
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin") or fail("nginx is not installed")
    processes.start(nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"))
    return f"http://127.0.0.1:{port}"


def first_bytes(proxy, head, wanted):
    """What comes first of an answer that does not end."""
    host, port = proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        lines = [*head, f"Host: {host}", f"Authorization: {CREDENTIAL}", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        text = b""
        while wanted not in text:
            more = connection.recv(4096)
            if not more:
                fail(f"{head[0]} through the proxy ends with {text!r}")
            text += more


def check_proxy(proxy):
    known = {"authorization": CREDENTIAL}
    wrong = {"authorization": "Basic " + base64.b64encode(b"platform:wrong").decode()}
    until("the proxy", lambda: ask(f"{proxy}/readyz")[0] == 200)
    cases = [
        ("GET", "/healthz", None, {}, 200),
        ("GET", "/metrics", None, {}, 401),
        ("GET", "/metrics", None, known, 200),
        ("POST", "/v1/rides", {**RIDE, "ride_id": "ride-2"}, {}, 401),
        ("POST", "/v1/rides", {**RIDE, "ride_id": "ride-2"}, wrong, 401),
        ("POST", "/v1/rides", {**RIDE, "ride_id": "ride-2"}, known, 202),
        ("POST", "/v1/rides", {"ride_id": "x" * 70_000}, known, 413),
        ("GET", "/readyz/../v1/rides", None, {}, 401),
        ("GET", "/healthz/x", None, {}, 401),
    ]
    for method, path, body, headers, wanted in cases:
        status, text = ask(proxy + path, body, method, headers)
        if status != wanted:
            fail(f"{method} {path} through the proxy: {status} instead of {wanted}: {text}")
    first_bytes(proxy, ["GET /v1/rides/ride-2/events HTTP/1.1"], b"data:")
    upgrade = [
        "GET /v1/drivers/d-1/stream HTTP/1.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    first_bytes(proxy, upgrade, b'"welcome"')
    print("the proxy lets nobody in without its credential, and passes sockets and event streams on")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--muster", required=True, help="the binary")
    binary = pathlib.Path(arguments.parse_args().muster).resolve()
    with tempfile.TemporaryDirectory(prefix="muster-ops-") as folder:
        processes = Processes(pathlib.Path(folder))
        try:
            url = start_muster(processes, str(binary))
            prometheus = start_prometheus(processes, url)
            serve_a_ride(url)
            check_metrics(url)
            until("a scrape", lambda: query(prometheus, "muster_rides_assigned_total > 0"))
            check_expressions(prometheus)
            check_rules(prometheus)
            check_proxy(start_proxy(processes, url))
        finally:
            processes.end()


main()
