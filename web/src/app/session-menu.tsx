/** Who is signed in, and the way out. */
import { Badge, Button, Menu } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import classes from '@/app/shell.module.css';
import { errorText } from '@/components/error-state';
import { Icon } from '@/components/icon';
import { sessionQuery } from '@/lib/api/get-session';
import { signOut } from '@/lib/api/sign-out';

export function SessionMenu() {
  const session = useQuery({ ...sessionQuery, enabled: false });
  const navigate = useNavigate();
  const client = useQueryClient();
  const mutation = useMutation({
    mutationFn: signOut,
    onSuccess: async () => {
      await navigate({ to: '/sign-in', search: {} });
      client.clear();
    },
    onError: (error) => notifications.show({ color: 'red', message: `Not signed out. ${errorText(error)}` }),
  });
  if (session.data === undefined) return null;
  if (session.data.dev) {
    return (
      <Badge
        variant="light"
        color="gray"
        radius="sm"
        tt="none"
        title="The server runs with --dev: no sign-in, no keys"
      >
        dev
      </Badge>
    );
  }
  return (
    <Menu position="bottom-end" width={180}>
      <Menu.Target>
        <Button
          variant="subtle"
          color="gray"
          leftSection={<Icon name="user" size={15} />}
          aria-label={`Signed in as ${session.data.user}`}
        >
          <span className={classes.user}>{session.data.user}</span>
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Icon name="logout" size={15} />} onClick={() => mutation.mutate()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
