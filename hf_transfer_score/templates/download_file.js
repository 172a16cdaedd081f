(file) => {
  if (!file || !file.url) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.orig_name || "board.csv";
  document.body.append(link);
  link.click();
  link.remove();
}
