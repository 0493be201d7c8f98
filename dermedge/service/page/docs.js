// The documentation of the interface: the description that the service gives, with the token of this tab where one is needed.
import { find, make, put } from './dom.js';
import { ask, authorization, whenTokenIsNeeded } from './service.js';
import { tokenForm } from './token.js';

whenTokenIsNeeded((wrong) => tokenForm(find('trouble'), wrong));
try {
  const spec = await ask('openapi.json');
  const base = new URL('..', import.meta.url).href.replace(/\/$/, '');
  window.SwaggerUIBundle({
    spec: { ...spec, servers: [{ url: base }] },
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
