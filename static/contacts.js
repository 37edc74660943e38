// The export is of the contacts that the page shows now: the search changes the address without loading the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest("#export");
  if (link) link.search = location.search;
});
