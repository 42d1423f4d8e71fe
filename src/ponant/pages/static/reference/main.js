// The page `/docs`: the reference of the API, drawn by Scalar.

import { getKey, onKey } from "../lib/api.js";
import { html, isDark, mount, onTheme, Shell } from "../lib/ui.js";

const DOCUMENTS = [
  { title: "Mistral API", slug: "mistral", url: "/openapi.json" },
];

function configuration() {
  return {
    sources: DOCUMENTS,
    agent: { disabled: true },
    mcp: { disabled: true },
    baseServerURL: location.origin,
    withDefaultFonts: false,
    telemetry: false,
    showDeveloperTools: "never",
    hideClientButton: true,
    persistAuth: false,
    hiddenClients: true,
    orderSchemaPropertiesBy: "preserve",
    orderRequiredPropertiesFirst: false,
    theme: "none",
    hideDarkModeToggle: true,
    forceDarkModeState: isDark() ? "dark" : "light",
    documentDownloadType: "direct",
    maxVisibleRequestBodyProperties: 0,
    localization: { locale: "en", translations: { operation: { testRequest: "Try It!" } } },
    generateOperationSlug: ({ operationId, method, path }) => operationId ?? `${method}${path}`,
    authentication: { preferredSecurityScheme: "Bearer", securitySchemes: { Bearer: { token: getKey() } } },
  };
}

function Frame() {
  return html`<${Shell} page="/docs" wide=${true} />`;
}

mount(Frame);
const reference = globalThis.Scalar.createApiReference("#reference", configuration());
onTheme(() => reference.updateConfiguration(configuration()));
onKey(() => reference.updateConfiguration(configuration()));
