/** The pages and their addresses. */

import type { QueryClient } from '@tanstack/react-query';
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  redirect,
  retainSearchParams,
} from '@tanstack/react-router';
import { NotFound } from '@/app/routes/not-found';
import { PageError } from '@/app/routes/page-error';
import { Root, Shell } from '@/app/shell';
import { isStatus } from '@/lib/api/api-error';
import { sessionQuery } from '@/lib/api/get-session';
import { parseSearchText, stringifySearch, type UrlSearch } from '@/lib/router/search-text';

interface RouterContext {
  client: QueryClient;
}

const root = createRootRouteWithContext<RouterContext>()({
  component: Root,
  notFoundComponent: NotFound,
  validateSearch: (search: Record<string, unknown>): UrlSearch => search as UrlSearch,
});

/** The pages behind sign-in. Another failure than 401 is left to the page, which can say it. */
const signedIn = createRoute({
  getParentRoute: () => root,
  id: 'signed-in',
  component: Shell,
  // Whatever page comes next, it looks at the same project.
  search: { middlewares: [retainSearchParams<UrlSearch>(['project'])] },
  beforeLoad: async ({ context, location }) => {
    try {
      await context.client.ensureQueryData(sessionQuery);
    } catch (error) {
      if (isStatus(error, 401)) throw redirect({ to: '/sign-in', search: { next: location.href } });
    }
  },
});

const routes = [
  createRoute({
    getParentRoute: () => signedIn,
    path: '/',
    component: lazyRouteComponent(() => import('@/app/routes/explore-route'), 'ExploreRoute'),
  }),
  createRoute({
    getParentRoute: () => signedIn,
    path: '/start',
    component: lazyRouteComponent(() => import('@/app/routes/start-route'), 'StartRoute'),
  }),
  createRoute({
    getParentRoute: () => signedIn,
    path: '/dead-letters',
    component: lazyRouteComponent(
      () => import('@/features/dead-letters/components/dead-letters-page'),
      'DeadLettersPage',
    ),
  }),
  createRoute({
    getParentRoute: () => signedIn,
    path: '/status',
    component: lazyRouteComponent(() => import('@/features/status/components/status-page'), 'StatusPage'),
  }),
  createRoute({
    getParentRoute: () => signedIn,
    path: '/settings/keys',
    component: lazyRouteComponent(() => import('@/features/keys/components/keys-page'), 'KeysPage'),
  }),
];

const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  component: lazyRouteComponent(() => import('@/app/routes/sign-in-route'), 'SignInRoute'),
});

export function makeRouter(client: QueryClient, history?: RouterHistory) {
  return createRouter({
    routeTree: root.addChildren([signedIn.addChildren(routes), signIn]),
    context: { client },
    history,
    parseSearch: parseSearchText,
    stringifySearch,
    defaultErrorComponent: PageError,
    defaultPreload: 'intent',
    scrollRestoration: false,
  });
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
