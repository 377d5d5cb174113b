/** Sign-in, then back to where one was. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { SignInPage } from '@/features/session/components/sign-in-page';
import type { UrlSearch } from '@/lib/router/search-text';

export function SignInRoute() {
  const { next } = useSearch({ strict: false }) as UrlSearch;
  const navigate = useNavigate();
  return <SignInPage onSignedIn={() => void navigate({ href: safeNext(next), replace: true })} />;
}

/** Only a path of this site: `//host` and other schemes would lead away. */
export function safeNext(next: string | undefined): string {
  if (next === undefined || !/^\/(?![/\\])/.test(next) || next.startsWith('/sign-in')) return '/';
  return next;
}
