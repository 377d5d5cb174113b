/** Sign-in, then back to where one was. */
import { useNavigate, useSearch } from '@tanstack/react-router';
import { SignInPage } from '@/features/session/components/sign-in-page';
import { safeNext } from '@/lib/router/safe-next';
import type { UrlSearch } from '@/lib/router/search-text';

export function SignInRoute() {
  const { next } = useSearch({ strict: false }) as UrlSearch;
  const navigate = useNavigate();
  return <SignInPage onSignedIn={() => void navigate({ href: safeNext(next), replace: true })} />;
}
