/** Where sign-in may lead back to. */

/** Only a path of this site: `//host` and other schemes would lead away. */
export function safeNext(next: string | undefined): string {
  if (next === undefined || !/^\/(?![/\\])/.test(next) || next.startsWith('/sign-in')) return '/';
  return next;
}
