// Sets the colours before the first paint: those of the system, unless the user chose others.
(() => {
  try {
    const chosen = localStorage.getItem("ponant-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // The browser refuses its storage, so there is no choice.
  }
})();
