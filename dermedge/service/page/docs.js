// The documentation of the interface: the description that the service gives, with the token of this tab where one is needed.
import { find, make, put } from './dom.js';
import { BASE, ask, authorization, whenTokenIsNeeded } from './service.js';
import { tokenForm } from './token.js';

whenTokenIsNeeded((wrong) => tokenForm(find('trouble'), wrong));
try {
  const spec = await ask('openapi.json');
  window.SwaggerUIBundle({
    // This Swagger UI knows OpenAPI up to 3.0; the description uses nothing newer but the number.
    spec: { ...spec, openapi: '3.0.3', servers: [{ url: BASE.href.replace(/\/$/, '') }] },
    domNode: find('docs'),
    validatorUrl: null,
    queryConfigEnabled: false,
    deepLinking: true,
    requestInterceptor: (request) => {
      if (new URL(request.url).origin === location.origin) Object.assign(request.headers, authorization());
      return request;
    },
  });
} catch (error) {
  put(find('trouble'), make('p', { class: 'problem', role: 'alert' }, error.message));
}
