"""How a campaign's page looks, on a screen and on A4."""

CSS = """
:root { color-scheme: light; --ink: #1b2430; --soft: #5d6b7c; --line: #dde3ea; --success: #2c7a58; --failed: #c4432b;
  --open: #b4bdc9; --rate: #3566a8; --limit: #c77d00; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px; max-width: 820px; background: #fff; color: var(--ink);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR",
  "Noto Sans CJK KR", sans-serif; -webkit-print-color-adjust: exact; print-color-adjust: exact;
  word-break: keep-all; }
header p { margin: 0; color: var(--soft); }
h1 { margin: 2px 0 8px; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 0 0 8px; font-size: 16px; }
section { margin-top: 28px; }
svg, dl, tr { break-inside: avoid; } h2, thead, .legend { break-after: avoid; } tfoot { display: table-row-group; }
.state { display: inline-block; padding: 0 8px; border-radius: 9px; font-weight: 600; font-size: 12px; color: #fff;
  background: var(--soft); white-space: nowrap; }
.state.COMPLETED { background: var(--success); } .state.FAILED { background: var(--failed); }
.state.RUNNING { background: var(--rate); } .state.STOPPED { background: var(--limit); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; margin-top: 18px; }
.tiles div { border: 1px solid var(--line); border-top: 3px solid var(--soft); border-radius: 4px; padding: 8px 12px; }
.tiles .success { border-top-color: var(--success); } .tiles .failed { border-top-color: var(--failed); }
.tiles .open { border-top-color: var(--open); }
.tiles span { display: block; color: var(--soft); font-size: 13px; }
.tiles strong { display: block; font-size: 21px; line-height: 1.35; font-variant-numeric: tabular-nums; }
.share { display: flex; height: 10px; margin-top: 10px; border-radius: 3px; overflow: hidden; background: var(--line); }
i.success, rect.success { background: var(--success); fill: var(--success); }
i.failed, rect.failed { background: var(--failed); fill: var(--failed); }
i.open, rect.open { background: var(--open); fill: var(--open); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 12px; color: var(--soft); white-space: nowrap; }
th, td { padding: 5px 8px; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child { padding-left: 0; } th:last-child, td:last-child { padding-right: 0; }
.n { text-align: right; white-space: nowrap; }
tfoot td { font-weight: 600; border-bottom: 0; }
small { color: var(--soft); font-size: 11px; margin-left: 4px; }
table.figures td { overflow-wrap: anywhere; }
table.runs { font-size: 12.5px; }
table.runs td:nth-child(n+2):nth-child(-n+7) { white-space: nowrap; }
table.runs td:nth-child(6), table.runs td:nth-child(7), table.runs th:nth-child(6), table.runs th:nth-child(7) {
  text-align: right; }
table.runs td:nth-child(8) { overflow-wrap: anywhere; min-width: 8em; }
table.runs tr:has(+ .note) td { border-bottom: 0; padding-bottom: 0; break-after: avoid; }
table.runs tr.note td:nth-child(n) { white-space: normal; padding-top: 0; overflow-wrap: anywhere; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
dl.meanings { margin-top: 8px; font-size: 12.5px; color: var(--soft); }
code { font: 12px/1.5 ui-monospace, Consolas, monospace; }
.legend { margin: 0 0 4px; font-size: 12.5px; } .legend span { color: var(--soft); margin-left: 8px; }
.legend i { display: inline-block; width: 12px; height: 10px; margin-left: 10px; border-radius: 1px; }
.legend i:first-child { margin-left: 0; }
.legend i.rate { background: var(--rate); opacity: .55; }
.legend i.limit { height: 0; width: 18px; border-top: 2px dashed var(--limit); vertical-align: 4px; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg path { fill: none; }
svg .grid { stroke: var(--line); } svg .edge { stroke: #9aa6b4; }
svg path.rate { fill: var(--rate); fill-opacity: .5; stroke: var(--rate); stroke-width: 1; }
svg path.limit { stroke: var(--limit); stroke-width: 1.8; stroke-dasharray: 6 4; }
footer { margin-top: 28px; padding-top: 8px; border-top: 1px solid var(--line); color: var(--soft); font-size: 12px; }
@page { size: A4; margin: 14mm; }
@media print { body { padding: 0; max-width: none; font-size: 12px; } section { margin-top: 20px; }
  h1 { font-size: 22px; } .tiles strong { font-size: 18px; } }
@media (max-width: 560px) { .tiles { grid-template-columns: repeat(2, 1fr); }
  table.runs { display: block; overflow-x: auto; } }
""".strip()
