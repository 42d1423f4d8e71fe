// The page `/docs`: the reference of the API, drawn by Scalar.

import { getKey, onKey } from "../lib/api.js";
import { html, isDark, mount, onTheme, Shell } from "../lib/ui.js";
import { forServer, loadDocuments, slugOf } from "./documents.js";

/** Return the settings of Scalar: nothing from other hosts, nothing kept in the browser, our own samples alone. */
function configuration(documents, server) {
  return {
    sources: documents.map((source) => forServer(source, server)),
    baseServerURL: location.origin,
    telemetry: false,
    withDefaultFonts: false,
    agent: { disabled: true },
    mcp: { disabled: true },
    showDeveloperTools: "never",
    hideClientButton: true,
    hiddenClients: true,
    persistAuth: false,
    authentication: { preferredSecurityScheme: "Bearer", securitySchemes: { Bearer: { token: getKey() } } },
    orderSchemaPropertiesBy: "preserve",
    orderRequiredPropertiesFirst: false,
    maxVisibleRequestBodyProperties: 0,
    defaultOpenAllTags: true,
    modelsSectionLabel: "Schemas",
    documentDownloadType: "json",
    theme: "none",
    hideDarkModeToggle: true,
    forceDarkModeState: isDark() ? "dark" : "light",
    localization: { locale: "en", translations: { operation: { testRequest: "Try It!" } } },
    generateOperationSlug: slugOf,
  };
}

/** Change the classes by which Scalar chooses colours, as it reads its setting only once. */
function changeColours() {
  document.body.classList.toggle("dark-mode", isDark());
  document.body.classList.toggle("light-mode", !isDark());
}

async function show() {
  const documents = await loadDocuments();
  let server = location.origin;
  const changeServer = (address) => {
    if (address === server) return;
    server = address;
    update();
  };
  const settings = () => ({ ...configuration(documents, server), onServerChange: changeServer });
  const reference = globalThis.Scalar.createApiReference("#reference", settings());
  const update = () => reference.updateConfiguration(settings());
  onKey(update);
  onTheme(changeColours);
}

mount(() => html`<${Shell} page="/docs" wide=${true} />`);
const loading = document.getElementById("loading");
try {
  await show();
  loading.remove();
} catch (error) {
  loading.textContent = `The reference cannot be shown (${error.message}). Check that the server runs, then reload this page.`;
}
