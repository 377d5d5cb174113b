/** The CSRF token of the live session; in memory only, since the session answer gives it again after a reload. */
let token = '';

export function csrfToken(): string {
  return token;
}

export function setCsrfToken(value: string): void {
  token = value;
}
