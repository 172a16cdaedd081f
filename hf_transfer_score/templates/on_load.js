() => {
  // Tells screen readers what changes by itself, and what the button of a chart does, and gives each header its hint. A
  // click on a header opens its sort menu, which is otherwise behind three dots.
  document.documentElement.lang = "en";
  const status = document.querySelector("#lb-status");
  if (status) { status.setAttribute("role", "status"); status.setAttribute("aria-live", "polite"); }
  const count = document.querySelector("#lb-count");
  if (count) { count.setAttribute("role", "status"); count.setAttribute("aria-live", "polite"); }
  const name = () => {
    for (const one of document.querySelectorAll(".vega-embed summary:not([aria-label])"))
      one.setAttribute("aria-label", "Save this chart");
    for (const one of document.querySelectorAll("[aria-label='common.upload']")) {  // a text that gradio forgot
      one.setAttribute("aria-label", "Upload more files");
      one.title = "Upload more files";
    }
    for (const one of document.querySelectorAll("#lb-again .cm-scroller[tabindex='-1']")) one.tabIndex = 0;
    const hints = {}, all = (where) => document.querySelectorAll(where);
    for (const one of all(".lb-hints dt")) hints[one.textContent] = one.nextElementSibling.textContent;
    for (const one of all("#lb-table th")) {
      const header = one.textContent.replace("⋮", "").trim();
      if (hints[header]) one.title = `${header}: ${hints[header]}`;
    }
  };
  document.addEventListener("click", (event) => {
    const menu = event.target.closest("#lb-table th")?.querySelector(".cell-menu-button");
    if (menu && !menu.contains(event.target)) window.setTimeout(() => menu.click());  // after what closes an open menu
  }, true);
  new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
}
