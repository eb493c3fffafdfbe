"""docs/metrics.md, made from the table of the figures: `python -m bulkpoint.views.metrics_docs` writes it (make docs),
and a test compares it.
"""

from pathlib import Path

from bulkpoint.rules.durations import DURATION_BOUNDS_S
from bulkpoint.store.metrics import SHOWN_CAMPAIGNS_MAX, SHOWN_DAYS, STATEMENT_S_MAX
from bulkpoint.views.metrics import METRICS, counted_outcomes

DOCS = Path(__file__).parents[2] / "docs"

_HEAD = """\
# Metrics

Made from the code by `make docs`.

bulkpoint's figures for Prometheus, in its text format. All are read from PostgreSQL at the moment of the scrape, in one
snapshot: they are the same whoever is asked, and survive every restart. No statement reads payments or targets; each is
ended by the server after {statement_s:g} s. There is no member, login or reason in them.

Both ways need the extra `web` (`pip install 'bulkpoint[web]'`), and a login that is a member of `bulkpoint_reader` or
of `bulkpoint_relay` ([access.md](access.md)):

- **The page**: `bulkpoint web` answers `/metrics`, under the login that `BULKPOINT_DATABASE_URL` names, with its
  password from `PGPASSFILE`. Nothing else of the page uses that login.
- **A file**, for node_exporter's textfile collector: `bulkpoint metrics --out FILE`, every minute by a scheduler. It is
  replaced whole, and everybody may read it. Where the database cannot be reached, the old file stays and the exit code
  is 6.

## Who may scrape the page

With `BULKPOINT_WEB_METRICS_TOKEN_FILE`, a file with a token of your own: whoever sends `Authorization: Bearer TOKEN`,
and nobody else (401); with `--behind-proxy` from a private network only, as everything there ([page.md](page.md)).
Without it: programs on the page's own machine that ask for `localhost`, `127.0.0.1` or `[::1]`; everybody else gets
403, and behind a proxy all do, because then every visitor comes from the proxy's address. While the database cannot be
reached the answer is 503, so that Prometheus' own `up` is 0; the page's log says why. All who ask within two seconds
get the same answer: many scrapers are one question for the database.

```yaml
scrape_configs:
  - job_name: bulkpoint
    scrape_interval: 15s
    authorization: {{credentials_file: /etc/prometheus/bulkpoint-token}}
    static_configs: [{{targets: ["payer.example.com:8484"]}}]
```

## Alerts and a dashboard

`conf/examples/prometheus/alerts.yaml` has rules for what wakes people up and for what waits until the morning; each
points to the section of the [runbook](runbook.md) that says what to do. `alerts_test.yaml` beside it shows when each of
them fires (`promtool test rules alerts_test.yaml`). `conf/examples/grafana/bulkpoint.json` is a dashboard to import.

## Names

| name | type | labels | what |
|---|---|---|---|
"""

_FOOT = """\

- A campaign is named by its figures while it runs, and for {days} days after the end of its latest run; no more than
  {campaigns} of them, the latest first: 10,000 campaigns do not make 130,000 series. `report --month` has all of them.
- The buckets of the histogram end at {bounds} s.
  Calls without an answer (`TIMED_OUT`, `LOST`) have no duration: watch their share beside it.
- The counters begin with the database, not with a process. They are written in the same statement as the attempts, so
  they are exact, also when a worker dies, and they stay when attempts are removed (`db trim`) or campaigns archived.
- `bulkpoint_trouble` counts what makes `bulkpoint check` end with exit code 5, with one exception: while a campaign
  runs, it does not count another one's targets.

## Outcomes

Of calls that left. A POST that was given up when its worker ended is `NO_ANSWER`.

| method | outcome | what happened |
|---|---|---|
"""


def document() -> str:
    """The text of docs/metrics.md."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {' '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    foot = _FOOT.format(
        days=SHOWN_DAYS, campaigns=SHOWN_CAMPAIGNS_MAX, bounds=", ".join(f"{bound:g}" for bound in DURATION_BOUNDS_S)
    )
    outcomes = [f"| {method} | `{outcome}` | {rule.why} |" for method, outcome, rule in counted_outcomes()]
    return _HEAD.format(statement_s=STATEMENT_S_MAX) + "\n".join(rows) + "\n" + foot + "\n".join(outcomes) + "\n"


if __name__ == "__main__":
    (DOCS / "metrics.md").write_text(document(), encoding="utf-8")
