/** The page of the OpenAPI document: Swagger UI, with nothing from outside. */

globalThis.SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
