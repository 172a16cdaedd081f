(query) => {
  // Puts the query into the address without a new entry in the history; on a Space, where the page is a frame, also into
  // the address of the outer page. Other parameters, such as the theme, stay.
  const url = new URL(window.location.href);
  const mine = new Set(%(names)s);
  for (const name of [...url.searchParams.keys()]) if (mine.has(name)) url.searchParams.delete(name);
  for (const [name, value] of new URLSearchParams(query)) url.searchParams.append(name, value);
  if (url.href !== window.location.href) window.history.replaceState(window.history.state, "", url);
  if (window.parent !== window) {
    try { window.parent.postMessage({queryString: url.searchParams.toString()}, "https://huggingface.co"); } catch {}
  }
  return url.href;
}
