// Shows /openapi.json with Swagger UI. Everything is loaded from this service: no validator, no
// fonts, no CDN.
window.addEventListener("DOMContentLoaded", () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#operations",
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    requestSnippetsEnabled: false,
    showCommonExtensions: true,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
});
