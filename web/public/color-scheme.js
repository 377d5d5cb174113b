// Sets the colour scheme before the first paint, so that a dark page does not flash white.
// The key and the values are those of Mantine's colour scheme manager.
(() => {
  let scheme = 'auto';
  try {
    scheme = localStorage.getItem('devlogs-color-scheme') || 'auto';
  } catch {
    // Storage is blocked: follow the system.
  }
  const dark =
    scheme === 'dark' || (scheme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
