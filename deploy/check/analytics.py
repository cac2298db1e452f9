"""Runs analytics/clickhouse against a real broker and a real server, and compares with its counters.

A city is replayed for a moment under an experiment; the relay publishes; kcat reads both topics;
ClickHouse's engine (chdb) runs our DDL and takes the messages in. What it then has must be what /metrics
counted, and must stay so when every message comes a second time. Then each query of the pack is run.
"""

import argparse
import json
import pathlib
import re
import subprocess
import tempfile

from chdb.session import Session
from processes import ROOT, Processes, ask, fail, first_line, start_muster, until

CLICKHOUSE = ROOT / "analytics/clickhouse"
SPEED = "30"
REPLAY = "--drivers 300 --trip-share 0.05 --minutes 10 --wind-down-minutes 10 --quiet".split()
ARMS = [
    {"name": "near", "weight": 1, "set": {"search_radius_m_max": 1500}},
    {"name": "far", "weight": 1, "set": {"search_radius_m_min": 2000}},
]
# What a metric counts, and the same by SQL.
COUNTED = {
    "muster_rides_requested_total": "SELECT count() FROM muster.rides",
    "muster_rides_assigned_total": """SELECT count() FROM muster.ride_events FINAL
        WHERE type IN ('driver_assigned', 'otp_entered')""",
    "muster_rides_completed_total": "SELECT count() FROM muster.rides WHERE status = 'completed'",
    "muster_rides_cancelled_total": "SELECT count() FROM muster.rides WHERE status = 'cancelled'",
    "muster_rides_unfulfilled_total": """SELECT count() FROM muster.ride_events FINAL
        WHERE type = 'ride_unfulfilled'""",
    "muster_offers_sent_total": """SELECT count() FROM muster.decisions FINAL
        WHERE stage = 'offered'""",
}
# Drivers left out by a search. The metric counts besides those whose machine refused an offer that was on
# its way: of them a decision says that they were offered the ride.
EXCLUDED = "muster_candidates_excluded_total"
EXCLUDED_SQL = "SELECT sum(d.drivers) FROM muster.decisions AS d FINAL WHERE stage = 'nearby'"
REFUSED_SHARE_MAX = 0.05
QUEUES = {
    "ride-events": "muster.ride_events_queue",
    "allocation-decisions": "muster.decisions_queue",
}


def run_city(processes, binary, brokers):
    """Replays a city, and gives what the server counted once all of it is published."""
    env = {"MUSTER__KAFKA__BROKERS": brokers, "MUSTER__CLOCK__SPEED": SPEED}
    url = start_muster(processes, binary, env)
    body = {"experiment": {"name": "radius", "arms": ARMS}}
    status, text = ask(f"{url}/v1/markets/nyc/policy", body, "PUT")
    if status != 200:
        fail(f"the experiment is refused: {status} {text}")
    replay = [binary, "replay", "--url", url, "--speed", SPEED, *REPLAY]
    replayed = subprocess.run(replay, capture_output=True, text=True, check=False)
    if replayed.returncode:
        fail(f"the replay failed:\n{replayed.stdout}{replayed.stderr}")

    def settled():
        before, lag = scrape(url), scrape(url).get("muster_outbox_lag_seconds")
        return before if lag == 0 and before == scrape(url) else None

    return until("all to be published", settled)


def scrape(url):
    """Sums of counters over their labels, and messages by topic."""
    sums = {}
    wanted = [*COUNTED, EXCLUDED, "muster_outbox_lag_seconds", "muster_outbox_events_total"]
    for line in ask(f"{url}/metrics")[1].splitlines():
        found = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
        if not found or found[1] not in wanted:
            continue
        name, labels, value = found[1], found[2] or "", float(found[3])
        if name == "muster_outbox_events_total":
            if 'outcome="published"' not in labels:
                continue
            name = re.search(r'topic="([^"]*)"', labels)[1]
        sums[name] = sums.get(name, 0) + value
    return sums


class ClickHouse:
    """ClickHouse's engine in this process. It runs all of our DDL but the tables of the engine Kafka: it
    takes their settings and then has no threads for them. So they are tried, and tables of the same
    name that keep nothing feed the views instead."""

    def __init__(self, folder):
        self.folder = folder
        self.session = Session(str(folder / "clickhouse"))
        text = (CLICKHOUSE / "schema.sql").read_text()
        for statement in filter(str.strip, text.split(";\n")):
            if "ENGINE = Kafka" in statement:
                self.try_kafka(statement)
                statement = statement.split("ENGINE = Kafka")[0] + "ENGINE = Null"
            self.session.query(statement)

    def try_kafka(self, statement):
        try:
            self.session.query(statement.replace("_queue", "_tried"))
        except Exception as error:  # its class is not public
            if "Shutdown was called" not in str(error):
                fail(f"{statement}\n{error}")
        else:
            fail("this engine has threads for Kafka now: let it read the topics by itself")

    def take_in(self, messages):
        """Has the views take in what the topics hold, by topic."""
        for topic, lines in messages.items():
            path = self.folder / f"{topic}.jsonl"
            path.write_bytes(lines)
            queue = QUEUES[topic]
            source = f"file('{path}', 'JSONAsString', 'message String')"
            self.session.query(f"INSERT INTO {queue} SELECT message FROM {source}")

    def rows(self, query):
        answer = json.loads(str(self.session.query(query, "JSON")))
        return [list(row.values()) for row in answer["data"]]

    def number(self, query):
        return float(self.rows(query)[0][0] or 0)


def compare(clickhouse, counted, when):
    for name, query in COUNTED.items():
        found = clickhouse.number(query)
        if found != counted[name]:
            fail(f"{when}: {name} is {counted[name]:.0f}, ClickHouse has {found:.0f}")
    refused = counted[EXCLUDED] - clickhouse.number(EXCLUDED_SQL)
    if not 0 <= refused <= REFUSED_SHARE_MAX * counted["muster_offers_sent_total"]:
        fail(f"{when}: {EXCLUDED} is {counted[EXCLUDED]:.0f}, {refused:.0f} more than ClickHouse has")


def read_topics(brokers, counted):
    """What an independent client finds in the topics: as much as was published."""
    messages = {}
    for topic in QUEUES:
        read = ["kcat", "-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q"]
        lines = subprocess.run(read, capture_output=True, check=True).stdout
        found = len(lines.splitlines())
        if found != counted[topic]:
            fail(f"{topic} holds {found} messages, published were {counted[topic]:.0f}")
        messages[topic] = lines
    return messages


def check_queries(clickhouse, counted):
    for name, value in {"market": "nyc", "from": "2000-01-01 00:00:00"}.items():
        clickhouse.session.query(f"SET param_{name} = '{value}'")
    clickhouse.session.query("SET param_until = '2100-01-01 00:00:00'")
    answers = {}
    for path in sorted((CLICKHOUSE / "queries").glob("*.sql")):
        answers[path.stem] = clickhouse.rows(path.read_text())
        if not answers[path.stem]:
            fail(f"{path.name} finds nothing")

    def total(query, column):
        return sum(float(row[column]) for row in answers[query])

    rides, offers = counted["muster_rides_requested_total"], counted["muster_offers_sent_total"]
    sums = [
        ("fill_rate", 1, rides),
        ("time_to_assign", 2, rides),
        ("acceptance_by_wave", 2, offers),
        ("acceptance_by_wave", 3, counted["muster_rides_assigned_total"]),
        ("exclusion_reasons", 2, clickhouse.number(EXCLUDED_SQL)),
        ("experiment", 1, clickhouse.number("SELECT uniqExact(ride_id) FROM muster.decisions")),
    ]
    for query, column, wanted in sums:
        if total(query, column) != wanted:
            fail(f"{query}: {total(query, column):.0f} in all instead of {wanted:.0f}")
    arms = [row[0] for row in answers["experiment"]]
    if arms != ["radius/far", "radius/near"]:
        fail(f"experiment compares {arms}")
    return answers


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--muster", required=True, help="the binary")
    arguments.add_argument("--broker", required=True, help="the binary of muster-services")
    arguments = arguments.parse_args()
    muster, broker = (str(pathlib.Path(path).resolve()) for path in
                      (arguments.muster, arguments.broker))
    with tempfile.TemporaryDirectory(prefix="muster-analytics-") as folder:
        processes = Processes(pathlib.Path(folder))
        try:
            brokers = first_line(processes, broker)
            init = [muster, "kafka", "init", "--partitions", "4"]
            subprocess.run(init, env={"MUSTER__KAFKA__BROKERS": brokers}, cwd=folder, check=True,
                           stdout=subprocess.DEVNULL)
            counted = run_city(processes, muster, brokers)
            messages = read_topics(brokers, counted)
            clickhouse = ClickHouse(pathlib.Path(folder))
            clickhouse.take_in(messages)
            compare(clickhouse, counted, "once")
            # As after a crash of the relay.
            clickhouse.take_in(messages)
            compare(clickhouse, counted, "when all messages come twice")
            check_queries(clickhouse, counted)
            for name in COUNTED:
                print(f"{name:36} {counted[name]:8.0f}, in ClickHouse too")
        finally:
            processes.end()


main()
