/** Puts theme, request cache and router together. */
import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { type RouterHistory, RouterProvider } from '@tanstack/react-router';
import { useState } from 'react';
import { makeQueryClient } from '@/app/query-client';
import { makeRouter } from '@/app/router';
import { cssVariables, theme } from '@/app/theme';

const colorSchemes = localStorageColorSchemeManager({ key: 'devlogs-color-scheme' });

interface AppProps {
  /** The browser's unless a test brings its own. */
  history?: RouterHistory;
  /** `test`: no transitions. */
  env?: 'default' | 'test';
}

export function App({ history, env }: AppProps) {
  const [{ client, router }] = useState(() => wire(history));
  return (
    <MantineProvider
      theme={theme}
      env={env}
      cssVariablesResolver={cssVariables}
      colorSchemeManager={colorSchemes}
      defaultColorScheme="auto"
    >
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
      <Notifications position="bottom-center" limit={3} />
    </MantineProvider>
  );
}

function wire(history?: RouterHistory) {
  const client = makeQueryClient(() => {
    const { location } = router.state;
    if (location.pathname === '/sign-in') return;
    client.removeQueries({ queryKey: ['session'] });
    void router.navigate({ to: '/sign-in', search: { next: location.href } });
  });
  const router = makeRouter(client, history);
  return { client, router };
}
