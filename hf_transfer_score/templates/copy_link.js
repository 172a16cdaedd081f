(query) => {
  // Shows the link to a view, and copies it to the clipboard if that is allowed.
  const framed = window.parent !== window && document.referrer.startsWith("https://huggingface.co/spaces/");
  const base = framed ? document.referrer.split("?")[0].split("#")[0] : window.location.href.split("?")[0];
  const link = query ? base + "?" + query : base;
  const box = document.querySelector("#lb-link textarea, #lb-link input");
  const done = (text) => { const line = document.querySelector("#lb-copied"); if (line) line.textContent = text; };
  const select = () => { if (box) { box.focus(); box.select(); } done("Copy the selected link."); };
  if (navigator.clipboard) navigator.clipboard.writeText(link).then(() => done("Link copied."), select);
  else window.setTimeout(select, 100);
  return link;
}
