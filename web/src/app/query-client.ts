/** The cache of requests, and the one place where "not signed in" leads to the sign-in page. */
import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError, isStatus } from '@/lib/api/api-error';

const ATTEMPTS_MAX = 2;

export function makeQueryClient(onSignedOut: () => void): QueryClient {
  const onError = (error: unknown) => {
    if (isStatus(error, 401)) onSignedOut();
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({
      onError: (error, variables, __, mutation) => {
        // A wrong password is an answer to the form, not a lost session.
        const isSignIn = typeof variables === 'object' && variables !== null && 'password' in variables;
        if (!isSignIn || mutation.options.mutationFn === undefined) onError(error);
      },
    }),
    defaultOptions: {
      queries: {
        refetchOnWindowFocus: false,
        retry: (failures, error) => failures < ATTEMPTS_MAX && isTransient(error),
        retryDelay: (attempt) => 500 * 2 ** attempt,
      },
    },
  });
}

/** What may go well the next time: no connection, or a gateway between. Refusals are told at once. */
function isTransient(error: unknown): boolean {
  return error instanceof ApiError && [0, 502, 504].includes(error.status);
}
