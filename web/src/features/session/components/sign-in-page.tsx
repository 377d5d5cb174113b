/** Signing in with user and password, then back to where one was. */

import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { Alarm } from '@/components/alarm';
import { errorText } from '@/components/error-state';
import { Logo } from '@/components/logo';
import { signIn } from '@/features/session/api/sign-in';
import classes from '@/features/session/components/sign-in-page.module.css';
import { isStatus } from '@/lib/api/api-error';
import { sessionQuery } from '@/lib/api/get-session';

export function SignInPage({ onSignedIn }: { onSignedIn: () => void }) {
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.focus(), []);
  const [user, setUser] = useState('');
  const [password, setPassword] = useState('');
  const client = useQueryClient();
  const mutation = useMutation({
    mutationFn: signIn,
    onSuccess: (session) => {
      // What another user may have seen in this tab is let go of.
      client.clear();
      client.setQueryData(sessionQuery.queryKey, session);
      onSignedIn();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    mutation.mutate({ user: user.trim(), password });
  };
  return (
    <main className={classes.page}>
      <div className={classes.card}>
        <span className={classes.mark}>
          <Logo size={34} />
        </span>
        <h1 className={classes.title}>Sign in</h1>
        <p className={classes.lead}>to Instant Dev Logs</p>
        <form onSubmit={submit}>
          <Stack gap={14}>
            <TextInput
              size="sm"
              label="User"
              name="username"
              autoComplete="username"
              value={user}
              onChange={(event) => setUser(event.currentTarget.value)}
              required
              ref={first}
            />
            <PasswordInput
              size="sm"
              label="Password"
              name="password"
              autoComplete="current-password"
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              required
            />
            {mutation.isError && (
              <Alarm>
                {isStatus(mutation.error, 401) ? 'User or password is wrong.' : errorText(mutation.error)}
              </Alarm>
            )}
            <Button type="submit" size="sm" loading={mutation.isPending}>
              Sign in
            </Button>
          </Stack>
        </form>
        <p className={classes.note}>
          First time here? The first start of the server printed where it wrote the admin’s password: a file
          that only its account can read.
        </p>
      </div>
    </main>
  );
}
