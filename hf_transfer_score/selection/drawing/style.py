"""How the page of a ranking looks, by day and by night."""

from __future__ import annotations

STYLE = """
:root {
  --ground: #ffffff; --ink: #222222; --soft: #5a5a5a; --grid: #e6e6e6; --side: #f4f4f4; --front: #b0b0b0;
  --c0: #4d4d4d; --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #cc79a7; --c5: #e69f00; --c6: #56b4e9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15171a; --ink: #ececec; --soft: #a9adb3; --grid: #2b2f34; --side: #1d2024; --front: #6d737a;
    --c0: #c4c4c4; --c1: #4aa3e0; --c2: #f07f3c; --c3: #2fc79a; --c4: #e19cc4; --c5: #f0b93a; --c6: #8fd0f5;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 1.35rem; line-height: 1.3; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: 0 0 .8rem; color: var(--soft); }
.scroll { overflow-x: auto; }
.scroll > svg { display: block; width: 100%; min-width: 640px; font: 12px system-ui, sans-serif; }
.grid { stroke: var(--grid); fill: none; }
.side { fill: var(--side); }
.tick { fill: var(--soft); }
.axis { fill: var(--ink); font-size: 13px; }
.front { stroke: var(--front); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; }
.bar { stroke: currentColor; stroke-width: 4; opacity: .4; }
.point .mark { fill: currentColor; stroke: var(--ground); stroke-width: 1; }
.point .line { stroke: var(--soft); stroke-width: .7; }
.point text { fill: var(--ink); paint-order: stroke; stroke: var(--ground); stroke-width: 3px; stroke-linejoin: round; }
.point .hidden { visibility: hidden; }
.point:hover .hidden, .point:focus .hidden { visibility: visible; }
.point:hover text, .point:focus text { font-weight: 600; }
.point:hover .mark, .point:focus-visible .mark { stroke: var(--ink); stroke-width: 2; }
.point:focus { outline: none; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); }
.key { width: 14px; height: 14px; fill: currentColor; vertical-align: -2px; }
.key:has(.front) { width: 28px; }
.legend { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 14rem; max-width: 26rem; }
table.numbers { width: auto; min-width: 60%; }
.numbers td, .numbers thead th:not(:first-child) { text-align: right; white-space: nowrap; }
.words td { overflow-wrap: anywhere; }
"""
