// The storages of the browser, or texts in this page alone where the browser refuses them, as with all cookies blocked.

/** Storage that ends with the page. */
class PageStorage {
  #texts = new Map();

  getItem(name) {
    return this.#texts.get(name) ?? null;
  }

  setItem(name, text) {
    this.#texts.set(name, text);
  }

  removeItem(name) {
    this.#texts.delete(name);
  }
}

/** Texts that end with the tab. */
export const ofTab = allowed("sessionStorage");

/** Texts that stay in the browser. */
export const ofBrowser = allowed("localStorage");

function allowed(name) {
  try {
    const storage = globalThis[name];
    storage.getItem("");
    return storage;
  } catch {
    return new PageStorage();
  }
}
